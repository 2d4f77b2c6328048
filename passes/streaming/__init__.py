"""When each weight moves: FlashMem's overlap plan (ASPLOS'26, section 3), as plain Python.

    problem.py   what is to be planned: steps, weights, how fast weights arrive
    plan.py      what is decided: pinned weights, residencies in an arena, loads
    check.py     whether a plan does what it must; shares no code with the planners
    greedy.py    from the last step back, each load as late as it can be hidden
    exact.py     the same decisions as a constraint problem, for OR-Tools CP-SAT
    packing.py   addresses in the arena
    naive.py     plans to compare with: load all, next layer, next of the same kind
    planner.py   all of it under a budget
    coarsen.py   larger steps, where the budget makes no use of small ones
    record.py    a plan with its problem, as plan.json keeps it

Nothing here knows of IREE or MLIR.
"""
