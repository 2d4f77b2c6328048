"""Reading IREE's executable-targets phase: what becomes a schedule, and what is refused."""

from textwrap import dedent

import pytest

from smartmem.passes.iree.resources import Unschedulable
from smartmem.passes.iree.schedule import Program, read_program
from smartmem.runtime.schedule import (
    BUFFER,
    NO_RESOURCE,
    Access,
    Copy,
    Dispatch,
    Fill,
    Inline,
    Port,
    Resource,
    ResourceKind,
    Upload,
    Use,
)

SPIRV = bytes.fromhex("0302230700000100000000000100000000000000")

MODULE = dedent("""
    util.global private @w : !stream.resource<constant>
    util.initializer {
      %c64 = arith.constant 64 : index
      %c8 = arith.constant 8 : i64
      %key = util.buffer.constant : !util.buffer = "w@[1, 0]"
      %scope = util.buffer.constant : !util.buffer = "model"
      %loaded, %done = stream.cmd.parameter.load {
        %scope::%key[%c8] : !stream.resource<constant>{%c64}
      } => !stream.timepoint
      %w = stream.timepoint.await sync %done => %loaded : !stream.resource<constant>{%c64}
      util.global.store %w, @w : !stream.resource<constant>
      util.return
    }
    hal.executable private @ex {
      hal.executable.variant public @fb target(<"vulkan-spirv", "vulkan-spirv-fb">) {
        hal.executable.export public @add ordinal(0)
            layout(#hal.pipeline.layout<constants = 1, bindings = [
              #hal.pipeline.binding<storage_buffer, ReadOnly>,
              #hal.pipeline.binding<storage_buffer>]>)
            count(%device: !hal.device) -> (index, index, index) {
          %c4 = arith.constant 4 : index
          %c1 = arith.constant 1 : index
          hal.return %c4, %c1, %c1 : index, index, index
        }
      }
    }
    util.func public @main(%a: !hal.buffer_view, %b: !hal.buffer_view) -> !hal.buffer_view {
      %c0 = arith.constant 0 : index
      %c31 = arith.constant 31 : index
      %c32 = arith.constant 32 : index
      %c64 = arith.constant 64 : index
      %c96 = arith.constant 96 : index
      %seven = arith.constant -7 : i32
      %byte = arith.constant 3 : i8
      %w = util.global.load immutable @w : !stream.resource<constant>
      %x = stream.tensor.import %a : !hal.buffer_view -> tensor<8xf32>
          in !stream.resource<external>{%c32}
      %y, %t0 = stream.resource.alloca uninitialized : !stream.resource<external>{%c96}
          => !stream.timepoint
      %s, %t1 = stream.resource.alloca uninitialized : !stream.resource<transient>{%c64}
          => !stream.timepoint
      %t2 = stream.timepoint.join max(%t0, %t1) => !stream.timepoint
      %t3 = stream.cmd.execute await(%t2) => with(
          %x as %xx: !stream.resource<external>{%c32},
          %w as %ww: !stream.resource<constant>{%c64},
          %y as %yy: !stream.resource<external>{%c96},
          %s as %ss: !stream.resource<transient>{%c64}) {
        stream.cmd.concurrent {
          stream.cmd.fill %byte, %ss[%c32 for %c32] : i8 -> !stream.resource<transient>{%c64}
          stream.cmd.copy %xx[%c0], %ss[%c0], %c32
              : !stream.resource<external>{%c32} -> !stream.resource<transient>{%c64}
        }
        stream.cmd.dispatch @ex::@fb::@add(%seven : i32) {
          ro %ww[%c32 for %c32] : !stream.resource<constant>{%c64},
          rw %yy[%c64 for %c32] : !stream.resource<external>{%c96}
        }
      } => !stream.timepoint
      %t4 = stream.resource.dealloca await(%t3) => %s : !stream.resource<transient>{%c64}
          => !stream.timepoint
      %z = stream.timepoint.await %t4 => %y : !stream.resource<external>{%c96}
      %part = stream.resource.subview %z[%c64]
          : !stream.resource<external>{%c96} -> !stream.resource<external>{%c32}
      %out = stream.tensor.export %part : tensor<8xf32> in !stream.resource<external>{%c32}
          -> !hal.buffer_view
      util.return %out : !hal.buffer_view
    }
""")


def read(text: str) -> Program:
    return read_program(text, lambda executable, entry: SPIRV)


def test_a_module_becomes_a_schedule() -> None:
    program = read(MODULE)
    schedule = program.schedule
    assert schedule.resources == (
        Resource(ResourceKind.CONSTANT, 64),
        Resource(ResourceKind.INPUT, 32),
        Resource(ResourceKind.OUTPUT, 96),
        Resource(ResourceKind.TRANSIENT, 64),
    )
    assert schedule.uploads == (Upload(0, 0, 64, "w@[1, 0]", 8),)
    assert schedule.inputs == (Port(1, 0, 32), Port(NO_RESOURCE, 0, 0))
    assert schedule.outputs == (Port(2, 64, 32),)
    assert schedule.commands == (
        Fill(Use(3, Access.WRITE, 32, 32), 0x03030303),
        Copy(Use(1, Access.READ, 0, 32), Use(3, Access.WRITE, 0, 32)),
        Dispatch(
            0,
            (4, 1, 1),
            (Use(0, Access.READ, 32, 32), Use(2, Access.BOTH, 64, 32)),
            (0xFFFFFFF9,),
        ),
    )
    (kernel,) = schedule.kernels
    assert (kernel.entry, kernel.bindings, kernel.push_words) == ("add", (BUFFER,) * 2, 1)
    assert program.kernels == {kernel.file: SPIRV}


# What IREE computes once: here 16 bytes that stand in the module, and 16 that a kernel makes of
# them. Memory that a device cannot map is filled from a file.
_HOISTED = """
      %c0 = arith.constant 0 : index
      %c32 = arith.constant 32 : index
      %zero = arith.constant 0 : i64
      %seven = arith.constant 7 : i32
      %t = stream.timepoint.immediate => !stream.timepoint
      %bytes = util.buffer.constant : !util.buffer = #util.composite<32xi8, [
        dense<[1, 2, 3]> : tensor<3xi32>,
        dense<0> : vector<20xi8>,
      ]>
      %ok, %mapped = stream.resource.try_map %bytes[%c0] : !util.buffer
          -> i1, !stream.resource<constant>{%c32}
      cf.cond_br %ok, ^bb2(%t, %mapped : !stream.timepoint, !stream.resource<constant>), ^bb1
    ^bb1:
      %file = stream.file.constant %bytes[%c0 for %c32] : !util.buffer{%c32} -> !stream.file
      %alloc = stream.resource.alloc uninitialized : !stream.resource<constant>{%c32}
      %read = stream.file.read await(%t) => %file[%zero], %alloc[%c0], %c32
          : !stream.file -> !stream.resource<constant>{%c32} => !stream.timepoint
      cf.br ^bb2(%read, %alloc : !stream.timepoint, !stream.resource<constant>)
    ^bb2(%when: !stream.timepoint, %dense: !stream.resource<constant>):
      %made, %t1 = stream.resource.alloca uninitialized : !stream.resource<constant>{%c64}
          => !stream.timepoint
      %done = stream.cmd.execute once await(%t1) => with(
          %dense as %dd: !stream.resource<constant>{%c32},
          %made as %mm: !stream.resource<constant>{%c64}) {
        stream.cmd.dispatch @ex::@fb::@add(%seven : i32) {
          ro %dd[%c0 for %c32] : !stream.resource<constant>{%c32},
          wo %mm[%c32 for %c32] : !stream.resource<constant>{%c64}
        }
      } => !stream.timepoint
      %w = stream.timepoint.await sync %done => %made : !stream.resource<constant>{%c64}
"""


def test_what_is_computed_once_is_set_up() -> None:
    start = MODULE.index("%c8 = arith.constant")
    end = MODULE.index("util.global.store %w")
    schedule = read(MODULE[:start] + _HOISTED + MODULE[end:]).schedule
    assert schedule.uploads == ()
    assert schedule.inlines == (Inline(0, 0, bytes([1, 0, 0, 0, 2, 0, 0, 0, 3]) + bytes(23)),)
    assert schedule.setup == (
        Dispatch(0, (4, 1, 1), (Use(0, Access.READ, 0, 32), Use(1, Access.WRITE, 32, 32)), (7,)),
    )
    assert schedule.resources[1] == Resource(ResourceKind.CONSTANT, 64)
    assert schedule.dispatches == (*schedule.setup, schedule.commands[2])
    assert schedule.dispatches[1].uses[0] == Use(1, Access.READ, 32, 32)


REFUSED = {
    "a global that is no weight": (
        "%w = stream.timepoint.await sync %done => %loaded : !stream.resource<constant>{%c64}",
        "%w = stream.resource.alloc uninitialized : !stream.resource<constant>{%c64}",
        "memory made by stream.resource.alloc",
    ),
    "a global that nothing is stored in": (
        "util.global.store %w, @w : !stream.resource<constant>",
        "",
        "the global w is read before anything is stored in it",
    ),
    "constants made in a call": (
        "%s, %t1 = stream.resource.alloca uninitialized : !stream.resource<transient>{%c64}",
        "%k, %t = stream.resource.alloca uninitialized : !stream.resource<constant>{%c64}\n"
        " => !stream.timepoint\n"
        "%s, %t1 = stream.resource.alloca uninitialized : !stream.resource<transient>{%c64}",
        "memory of lifetime constant is allocated",
    ),
    "a branch": (
        "%w = stream.timepoint.await",
        "%i1 = arith.constant true\n cf.cond_br %i1, ^bb1, ^bb1\n ^bb1:\n"
        "%w = stream.timepoint.await",
        "a branch",
    ),
    "a count that is not a constant": (
        "%c4 = arith.constant 4 : index",
        "%two = arith.constant 2 : index\n %c4 = arith.divui %two, %two : index",
        "not known before the call",
    ),
    "an unknown op": (
        "%part = stream.resource.subview",
        "%k = arith.cmpi eq, %c0, %c31 : index\n  %part = stream.resource.subview",
        "util.func has a arith.cmpi",
    ),
    "a fill of broken words": (
        "stream.cmd.fill %byte, %ss[%c32 for %c32] : i8",
        "stream.cmd.fill %byte, %ss[%c32 for %c31] : i8",
        "a fill of 31 bytes",
    ),
    "an argument as a result": (
        "util.return %out",
        "util.return %b",
        "an argument that nothing reads is a result",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_static_is_refused(case: str) -> None:
    old, new, reason = REFUSED[case]
    assert MODULE.count(old) == 1
    with pytest.raises(Unschedulable, match=reason):
        read(MODULE.replace(old, new))
