"""Logit clustering at scale and the exact spectrum of G, each in a process of its own."""

from benchmarks import clustering
from benchmarks.memory import measured

CLUSTERING = {
    True: (("small_cnn", 500), ("small_cnn", 1000)),
    False: (("small_cnn", 1000), ("small_cnn", 10_000), ("mlp", 10_000), ("resnet20", 1000)),
}
SPECTRA = {
    True: (("small_cnn", 100), ("resnet20", 50)),
    False: (("small_cnn", 1000), ("resnet20", 1000)),
}


def compare(quick: bool) -> list[dict]:
    cases = [(clustering.clustering, *case) for case in CLUSTERING[quick]]
    cases += [(clustering.spectrum, *case) for case in SPECTRA[quick]]
    rows = []
    for function, network, num in cases:
        found = measured(function, network, num)
        row = {"work": function.__name__, "network": network, "N": num}
        rows.append(row | found.pop("returned", {}) | {"error": found.get("error")})
        print(rows[-1], flush=True)
    return rows
