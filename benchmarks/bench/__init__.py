"""``smartmem bench``: smartmem and its peers side by side on one machine, in one run.

    peers.py      who can be asked for, and what each needs
    contenders/   one file per peer: how it builds a model, loads it and runs it
    serve.py      the process of one contender: answers JSON lines
    process.py    the other end: a contender as a process bounded in time and memory
    harness.py    one model on one device: reference, builds, checks, interleaved runs, rows
    runner.py     many models on many devices, into one document
    results.py    the document of rows: written as they come, resumed, read back
    table.py      rows for a terminal
    report.py     docs/performance.md from recorded documents; plot.py: its pictures
    bundle.py     a folder that a machine without compiler and torch runs; recipe.py: its weights;
                  run_bundle.py: what happens there

What is copied into a bundle imports the standard library, numpy and ``smartmem.runtime`` only.
"""
