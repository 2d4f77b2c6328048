"""Several models in one process under one memory budget.

pool.py       a queue for each device, the models in it, runs as Futures
memory.py     which models are in memory: room, prefetch, eviction
source.py     where a model comes from; what a pool needs to know of it
ready.py      the order of runs: priorities, then arrival or fairness
timeline.py   what happened, as data and as text
tasks.py      models with periods and deadlines, and what they read of each other
admission.py  whether all deadlines can be met, before anything starts
periodic.py   a schedule of tasks: measured, tested, run
clock.py      tasks released at their times, response times, misses
"""

from smartmem.runtime.pool.admission import Admission, admit
from smartmem.runtime.pool.periodic import Schedule
from smartmem.runtime.pool.pool import Pool
from smartmem.runtime.pool.tasks import Task
from smartmem.runtime.pool.timeline import Event

__all__ = ["Admission", "Event", "Pool", "Schedule", "Task", "admit"]
