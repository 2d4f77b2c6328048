"""One file per peer. Each has ``build(task) -> list[Candidate]``, which runs in a process of its
own, and ``load(task, candidate) -> Loaded``, which another process calls: so that neither the cold
start nor the memory of a contender holds what only its compiler needs.
"""
