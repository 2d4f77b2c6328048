"""Reading IREE's executable-targets phase: what becomes a schedule, and what is refused."""

from textwrap import dedent

import pytest

from smartmem.passes.iree.schedule import Program, Unschedulable, read_program
from smartmem.runtime.schedule import (
    NO_RESOURCE,
    Access,
    Copy,
    Dispatch,
    Fill,
    Format,
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
    assert (kernel.entry, kernel.bindings, kernel.push_words) == ("add", (Format.BUFFER,) * 2, 1)
    assert program.kernels == {kernel.file: SPIRV}


REFUSED = {
    "a global that is no weight": (
        "%w = stream.timepoint.await sync %done => %loaded : !stream.resource<constant>{%c64}",
        "%w = stream.resource.alloc uninitialized : !stream.resource<constant>{%c64}",
        "not loaded from the archive",
    ),
    "a count that is not a constant": (
        "%c4 = arith.constant 4 : index",
        "%two = arith.constant 2 : index\n %c4 = arith.divui %two, %two : index",
        "not known before the call",
    ),
    "an unknown op": (
        "%part = stream.resource.subview",
        "util.global.store %w, @w : !stream.resource<constant>\n  %part = stream.resource.subview",
        "the entry function has a util.global.store",
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
