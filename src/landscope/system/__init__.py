"""What the operating system gives, alike on Linux, macOS and Windows: files, locks, CPUs."""
