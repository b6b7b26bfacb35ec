"""A worker process, which takes seconds to start, shared by the tests of this folder."""

from concurrent.futures import Executor

import pytest

from landscope.experiments import choose_engine


class Kept(Executor):
    """An executor that goes on when one of its users is done."""

    def __init__(self, executor):
        self.executor = executor

    def submit(self, function, /, *args, **kwargs):
        return self.executor.submit(function, *args, **kwargs)

    def shutdown(self, wait=True, *, cancel_futures=False):
        pass


@pytest.fixture(scope="session")
def process():
    """One process, which begins when it is first asked for and tries each task three times."""
    executor = choose_engine(processes=1, retries=2)()
    yield Kept(executor)
    executor.shutdown(wait=False, cancel_futures=True)
