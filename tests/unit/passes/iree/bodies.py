"""Small stream-phase modules around hand-written dispatch bodies."""


def _view(number: int, access: str, tensor: str) -> str:
    kind = f"!iree_tensor_ext.dispatch.tensor<{access}:tensor<{tensor}>>"
    return (
        f"    %b{number} = stream.binding.subspan %arg{number}[%c0] : !stream.binding -> {kind}\n"
    )


def _whole(tensor: str) -> str:
    dims = tensor.split("x")[:-1]
    zeros, ones = ", ".join("0" * len(dims)), ", ".join("1" * len(dims))
    return f"offsets = [{zeros}], sizes = [{', '.join(dims)}], strides = [{ones}]"


def load(number: int, tensor: str, access: str = "readonly") -> str:
    """Load all of binding ``number`` as ``%x<number>``."""
    kind = f"!iree_tensor_ext.dispatch.tensor<{access}:tensor<{tensor}>>"
    return (
        f"    %x{number} = iree_tensor_ext.dispatch.tensor.load %b{number}, {_whole(tensor)}"
        f" : {kind} -> tensor<{tensor}>\n"
    )


def store(value: str, number: int, tensor: str, access: str = "writeonly") -> str:
    """Store all of ``value`` to binding ``number``."""
    kind = f"!iree_tensor_ext.dispatch.tensor<{access}:tensor<{tensor}>>"
    return (
        f"    iree_tensor_ext.dispatch.tensor.store {value}, %b{number}, {_whole(tensor)}"
        f" : tensor<{tensor}> -> {kind}\n"
    )


def module(inputs: list[str], output: str, body: str, access: str = "writeonly") -> str:
    """A program of one dispatch that reads ``inputs`` and stores ``%r`` to ``output``.

    Tensors are written as in MLIR ("4x8xf32"); ``body`` uses ``%x0`` ... and defines ``%r``.
    """
    views = "".join(_view(i, "readonly", tensor) for i, tensor in enumerate(inputs))
    loads = "".join(load(i, tensor) for i, tensor in enumerate(inputs))
    last = len(inputs)
    views += _view(last, access, output)
    return program(last + 1, views + loads + body + store("%r", last, output, access))


def program(bindings: int, body: str) -> str:
    """A program of one dispatch over ``bindings`` bindings of one transient buffer."""
    arguments = ", ".join(f"%arg{i}: !stream.binding" for i in range(bindings))
    uses = ",\n".join(
        "        rw %t[%c0 for %c64] : !stream.resource<transient>{%c64}" for _ in range(bindings)
    )
    return f"""
stream.executable private @exe {{
  stream.executable.export public @work
  builtin.module {{
  func.func @work({arguments}) {{
    %c0 = arith.constant 0 : index
    %zero = arith.constant 0.0 : f32
    %one = arith.constant 1.0 : f32
{body}    return
  }}
  }}
}}
{
        main(f'''
      stream.cmd.dispatch @exe::@work {{
{uses}
      }}''')
    }
"""


def main(commands: str) -> str:
    """A ``main`` that executes stream commands on the transient ``%t`` of 64 bytes."""
    return f"""
util.func public @main() {{
  %c0 = arith.constant 0 : index
  %c4 = arith.constant 4 : index
  %c8 = arith.constant 8 : index
  %c64 = arith.constant 64 : index
  %i0 = arith.constant 0 : i32
  %buffer, %ready = stream.resource.alloca uninitialized
      : !stream.resource<transient>{{%c64}} => !stream.timepoint
  %done = stream.cmd.execute await(%ready) => with(
      %buffer as %t: !stream.resource<transient>{{%c64}}) {{
{commands}
  }} => !stream.timepoint
  util.return
}}
"""


def elementwise(ins: list[tuple[str, str]], output: str, body: str, rank: int = 2) -> str:
    """``%r``: a generic over identity maps; ``body`` uses ``%a``, ``%b``, ... and yields."""
    dims = ", ".join(f"d{i}" for i in range(rank))
    maps = ", ".join([f"affine_map<({dims}) -> ({dims})>"] * (len(ins) + 1))
    kinds = ", ".join(['"parallel"'] * rank)
    names = [chr(ord("a") + i) for i in range(len(ins))]
    values = ", ".join(value for value, _ in ins)
    types = ", ".join(f"tensor<{tensor}>" for _, tensor in ins)
    taken = f"ins({values} : {types}) " if ins else ""
    elements = [tensor.split("x")[-1] for _, tensor in ins] + [output.split("x")[-1]]
    arguments = ", ".join(
        f"%{name}: {element}" for name, element in zip([*names, "o"], elements, strict=True)
    )
    return f"""
    %e = tensor.empty() : tensor<{output}>
    %r = linalg.generic {{indexing_maps = [{maps}], iterator_types = [{kinds}]}}
      {taken}outs(%e : tensor<{output}>) {{
    ^bb0({arguments}):
{body}
    }} -> tensor<{output}>
"""
