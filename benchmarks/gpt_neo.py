"""A streaming problem of GPTNeo-2.7B's size, without the model: what the planner's time is measured
on. 386 steps, 419 weights, 10.4 GiB.
"""

from smartmem.passes.streaming.problem import Problem, Step, Weight

BLOCKS = 32
_MIB = 1 << 20


def gpt_neo(width: int = 2560, tokens: int = 128, flops: float = 4e11) -> Problem:
    """The steps and weights of GPTNeo-2.7B, as one dispatch each; 2 GB/s."""
    steps: list[Step] = []
    weights: list[Weight] = []
    tolerated = {"elemental": 3.0, "reusable": 0.2, "hierarchical": 0.0}

    def add(kind: str, time_us: float, *sizes: int) -> None:
        number = len(steps)
        steps.append(Step(f"s{number}", kind, time_us, int(tolerated[kind] * time_us * 1e4)))
        weights.extend(
            Weight(f"w{number}.{i}", 4 * size, (number,)) for i, size in enumerate(sizes)
        )

    def matmul(depth: int, columns: int) -> None:
        add("reusable", 2e6 * tokens * depth * columns / flops, depth * columns, columns)

    add("elemental", 50, 50257 * width, 2048 * width)
    for _ in range(BLOCKS):
        add("hierarchical", 60, width, width)
        for _ in range(3):
            matmul(width, width)
        add("reusable", 200)
        add("hierarchical", 100)
        add("reusable", 200)
        matmul(width, width)
        add("hierarchical", 60, width, width)
        matmul(width, 4 * width)
        add("elemental", 100)
        matmul(4 * width, width)
    matmul(width, 50257)
    return Problem(tuple(steps), tuple(weights), 2e9, 4 * _MIB)
