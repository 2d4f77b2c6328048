"""Results in the place of what was read last: where that is safe, and where it is not."""

from dataclasses import replace
from hashlib import sha256

import pytest

from smartmem.passes.iree import spirv_binary
from smartmem.passes.iree.in_place import share
from smartmem.passes.iree.schedule import Program
from smartmem.runtime.schedule import (
    BUFFER,
    Access,
    Binding,
    BindingKind,
    Copy,
    Dispatch,
    Format,
    Kernel,
    Port,
    Resource,
    ResourceKind,
    Schedule,
    Use,
)

READ, WRITE = Access.READ, Access.WRITE
INPUT, READ_LAST, MADE, OUTPUT = range(4)
ROWS, COLUMNS = 6, 8
SIZE = ROWS * COLUMNS * 4
BUFFER_TYPE = "!spirv.ptr<!spirv.struct<(!spirv.rtarray<f32, stride=4> [0])>, StorageBuffer>"
ELEMENT = "!spirv.ptr<f32, StorageBuffer>"
BUILT_IN = "!spirv.ptr<vector<3xi32>, Input>"


def load(index: str) -> str:
    return f"""
        %p{index} = spirv.AccessChain %a[%c0, %{index}] : {BUFFER_TYPE}, i32, i32 -> {ELEMENT}
        %x{index} = spirv.Load "StorageBuffer" %p{index} : f32
    """


def store(index: str) -> str:
    return f"""
        %q{index} = spirv.AccessChain %b[%c0, %{index}] : {BUFFER_TYPE}, i32, i32 -> {ELEMENT}
        spirv.Store "StorageBuffer" %q{index}, %one : f32
    """


def loop(body: str) -> str:
    """``body`` for each %k of the columns."""
    return f"""
      spirv.mlir.loop {{
        spirv.Branch ^header(%c0 : i32)
      ^header(%k: i32):
        %more = spirv.SLessThan %k, %c8 : i32
        spirv.BranchConditional %more, ^body, ^end
      ^body:
        {body}
        %next = spirv.IAdd %k, %c1 : i32
        spirv.Branch ^header(%next : i32)
      ^end:
        spirv.mlir.merge
      }}
    """


def guarded(body: str, bound: str = "c6") -> str:
    """``body`` for threads below a bound."""
    return f"""
      %few = spirv.SLessThan %thread, %{bound} : i32
      spirv.mlir.selection {{
        spirv.BranchConditional %few, ^then, ^end
      ^then:
        {body}
        spirv.Branch ^end
      ^end:
        spirv.mlir.merge
      }}
    """


# Of a thread's row, and of workgroups that are so many rows: the element of a column %k.
OWN = """
    %row = spirv.IMul %thread, %c8 : i32
    %i = spirv.IAdd %row, %k : i32
"""
# One element of each thread and workgroup.
PLAIN = """
    %start = spirv.IMul %group, %c8 : i32
    %i = spirv.IAdd %start, %thread : i32
"""
# The same by a quotient and a remainder of the workgroup's number.
SPLIT = """
    %quotient = spirv.UDiv %group, %c3 : i32
    %rest = spirv.UMod %group, %c3 : i32
    %far = spirv.IMul %quotient, %c24 : i32
    %near = spirv.IMul %rest, %c8 : i32
    %both = spirv.IAdd %far, %near : i32
    %i = spirv.IAdd %both, %thread : i32
"""
QUOTIENT_ONLY = SPLIT.replace("%both = spirv.IAdd %far, %near", "%both = spirv.IAdd %far, %far")
# The next element, which is another thread's.
NEXT = "%j = spirv.IAdd %i, %c1 : i32"


def kernel(body: str, threads: int = COLUMNS, name: str = "main") -> str:
    """A kernel that reads binding 0, ``%a``, and writes binding 1, ``%b``."""
    constants = "\n".join(f"%c{n} = spirv.Constant {n} : i32" for n in (0, 1, 3, 6, 8, 24))
    return f"""
      spirv.module Logical GLSL450 requires #spirv.vce<v1.0, [Shader], []> {{
        spirv.GlobalVariable @local built_in("LocalInvocationId") : {BUILT_IN}
        spirv.GlobalVariable @groups built_in("WorkgroupId") : {BUILT_IN}
        spirv.GlobalVariable @a bind(0, 0) : {BUFFER_TYPE}
        spirv.GlobalVariable @b bind(0, 1) : {BUFFER_TYPE}
        spirv.func @{name}() "None" {{
          {constants}
          %one = spirv.Constant 1.0 : f32
          %local = spirv.mlir.addressof @local : {BUILT_IN}
          %l = spirv.Load "Input" %local : vector<3xi32>
          %thread = spirv.CompositeExtract %l[0 : i32] : vector<3xi32>
          %groups = spirv.mlir.addressof @groups : {BUILT_IN}
          %g = spirv.Load "Input" %groups : vector<3xi32>
          %group = spirv.CompositeExtract %g[0 : i32] : vector<3xi32>
          %a = spirv.mlir.addressof @a : {BUFFER_TYPE}
          %b = spirv.mlir.addressof @b : {BUFFER_TYPE}
          {body}
          spirv.Return
        }}
        spirv.EntryPoint "GLCompute" @{name}
        spirv.ExecutionMode @{name} "LocalSize", {threads}, 1, 1
      }}
    """


def use(resource: int, access: Access, offset: int = 0, length: int = SIZE) -> Use:
    return Use(resource, access, offset, length)


CALL = Dispatch(0, (ROWS, 1, 1), (use(READ_LAST, READ), use(MADE, WRITE)))
KINDS = (
    ResourceKind.INPUT,
    ResourceKind.TRANSIENT,
    ResourceKind.TRANSIENT,
    ResourceKind.OUTPUT,
)
MAKES = Copy(use(INPUT, READ), use(READ_LAST, WRITE))
ENDS = Copy(use(MADE, READ), use(OUTPUT, WRITE))


def schedule(call: Dispatch = CALL) -> Schedule:
    """The argument is copied, the kernel makes another tensor of it, and that is copied out."""
    return Schedule(
        resources=tuple(Resource(kind, SIZE) for kind in KINDS),
        uploads=(),
        inputs=(Port(INPUT, 0, SIZE),),
        outputs=(Port(OUTPUT, 0, SIZE),),
        kernels=(Kernel("000.spv", "main", (BUFFER, BUFFER), 0, 0, bytes(32)),),
        commands=(MAKES, call, ENDS),
    )


def binary(*decorations: tuple[int, ...]) -> bytes:
    """A module of decorations only."""
    words = [0x07230203, 0x00010000, 0, 9, 0]
    for decoration in decorations:
        words += [(len(decoration) + 1) << 16 | 71, *decoration]
    return b"".join(word.to_bytes(4, "little") for word in words)


# Variables 5 and 6 are bindings 0 and 1; 5 is stated to be no alias.
CODE = binary((5, 33, 0), (5, 19), (6, 33, 1))


def shared(body: str, held: Schedule | None = None, threads: int = COLUMNS) -> Program:
    return share(kernel(body, threads), Program(held or schedule(), {"000.spv": CODE}))


def is_in_place(program: Program) -> bool:
    (call,) = program.schedule.dispatches
    return call.uses[0].resource == call.uses[1].resource


IN_PLACE = {
    "each thread its own": (PLAIN + load("i") + store("i"), COLUMNS, ROWS),
    "quotient and remainder": (SPLIT + load("i") + store("i"), COLUMNS, ROWS),
    "rows of a loop": (loop(OWN + load("i") + store("i")), ROWS, 1),
    "loops one after another": (loop(OWN + load("i")) + loop(OWN + store("i")), ROWS, 1),
    "read again where it is written": (
        loop(OWN + load("i")) + loop(OWN + load("i") + store("i")),
        ROWS,
        1,
    ),
    "no more threads than rows": (guarded(loop(OWN + load("i") + store("i"))), COLUMNS, 1),
}


@pytest.mark.parametrize("case", IN_PLACE)
def test_a_result_takes_the_place_of_what_was_read_last(case: str) -> None:
    body, threads, groups = IN_PLACE[case]
    call = replace(CALL, workgroups=(groups, 1, 1))
    program = shared(body, schedule(call), threads)
    assert is_in_place(program)
    # What reads the result finds it there.
    assert program.schedule.commands[2].uses[0].resource == READ_LAST
    code = program.kernels["000.spv"]
    assert program.schedule.kernels[0].sha256 == sha256(code).digest()
    decorations = [words[1:] for words in spirv_binary.instructions(code)]
    assert decorations == [(5, 33, 0), (5, 20), (6, 33, 1), (6, 20)]


APART = {
    "another thread's is read": (PLAIN + NEXT + load("j") + store("i"), COLUMNS, ROWS),
    "it is written first": (PLAIN + store("i") + load("i"), COLUMNS, ROWS),
    "a later iteration reads what an earlier wrote": (
        loop(OWN + load("i") + store("i")) + loop(OWN + load("i")),
        ROWS,
        1,
    ),
    "a quotient without its remainder": (
        QUOTIENT_ONLY + load("i") + store("i"),
        COLUMNS,
        ROWS,
    ),
    "all threads write the same": (
        loop("%i = spirv.IAdd %k, %c0 : i32" + load("i") + store("i")),
        ROWS,
        1,
    ),
    "an iteration reads what the one before wrote": (
        loop(OWN + NEXT + load("i") + store("j")),
        ROWS,
        1,
    ),
    "workgroups that do the same": (loop(OWN + load("i") + store("i")), ROWS, 2),
    "an index of something that is read": (
        PLAIN
        + "%n = spirv.Bitcast %one : f32 to i32\n %j = spirv.IAdd %i, %n : i32"
        + load("j")
        + store("j"),
        COLUMNS,
        ROWS,
    ),
}


@pytest.mark.parametrize("case", APART)
def test_what_another_thread_needs_is_not_overwritten(case: str) -> None:
    body, threads, groups = APART[case]
    call = replace(CALL, workgroups=(groups, 1, 1))
    held = schedule(call)
    program = shared(body, held, threads)
    assert program == Program(held, {"000.spv": CODE})


def test_more_threads_than_rows_overlap() -> None:
    """A ninth row of eight columns would be the next workgroup's first."""
    rows = OWN.replace("%i = spirv.IAdd %row, %k", "%in = spirv.IAdd %row, %k")
    rows += "%far = spirv.IMul %group, %c24 : i32\n %i = spirv.IAdd %in, %far : i32"
    body = loop(rows + load("i") + store("i"))
    call = replace(CALL, workgroups=(2, 1, 1))
    assert is_in_place(shared(guarded(body, "c3"), schedule(call)))
    assert not is_in_place(shared(guarded(body, "c6"), schedule(call)))
    assert not is_in_place(shared(body, schedule(call)))


GOOD = PLAIN + load("i") + store("i")
TEXELS = Binding(BindingKind.TEXELS, Format.R32_SFLOAT)
NOT_LAST = Copy(use(READ_LAST, READ), use(OUTPUT, WRITE))


def with_uses(*uses: Use) -> Schedule:
    return schedule(replace(CALL, uses=uses))


OTHERS = {
    "it is read later": replace(schedule(), commands=(MAKES, CALL, ENDS, NOT_LAST)),
    "it is a result": replace(schedule(), outputs=(Port(READ_LAST, 0, SIZE),)),
    "the new one is a result": replace(schedule(), outputs=(Port(MADE, 0, SIZE),)),
    "it is the argument": with_uses(use(INPUT, READ), use(MADE, WRITE)),
    "a part of it is read": with_uses(use(READ_LAST, READ, 0, SIZE // 2), use(MADE, WRITE)),
    "the new one has parts already": replace(
        schedule(), commands=(MAKES, Copy(use(INPUT, READ), use(MADE, WRITE)), CALL, ENDS)
    ),
    "it is read as texels": replace(
        schedule(),
        kernels=(replace(schedule().kernels[0], bindings=(TEXELS, BUFFER)),),
    ),
    "another reader could come later": replace(
        schedule(), commands=(MAKES, Copy(use(READ_LAST, READ), use(OUTPUT, WRITE)), CALL, ENDS)
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_is_still_needed_is_not_overwritten(case: str) -> None:
    assert is_in_place(shared(GOOD))
    assert not is_in_place(shared(GOOD, OTHERS[case]))


def test_a_reader_that_comes_before_anyway_is_no_hindrance() -> None:
    """The kernel reads what the other reader made."""
    resources = (*schedule().resources, Resource(ResourceKind.TRANSIENT, SIZE))
    first = Dispatch(1, (1, 1, 1), (use(READ_LAST, READ), use(4, WRITE)))
    second = replace(CALL, uses=(*CALL.uses, use(4, READ)))
    kernels = (
        replace(schedule().kernels[0], bindings=(BUFFER,) * 3),
        Kernel("001.spv", "other", (BUFFER, BUFFER), 0, 0, bytes(32)),
    )
    held = replace(
        schedule(), resources=resources, kernels=kernels, commands=(MAKES, first, second, ENDS)
    )
    text = kernel(GOOD) + kernel("", name="other")
    program = share(text, Program(held, {"000.spv": CODE, "001.spv": CODE}))
    call = program.schedule.dispatches[1]
    assert call.uses[0].resource == call.uses[1].resource == READ_LAST
    # Its kernel is as it was.
    assert program.kernels["001.spv"] == CODE
