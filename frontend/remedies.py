"""What to write instead of an op that has no import rule, or that asks for a tensor's values."""

_SELECT = (
    "its shape depends on values: keep all elements and mask them with torch.where, or take a "
    "fixed number of them with torch.topk"
)
_RANDOM = "draw the numbers outside and pass them in as an input"
_OUTSIDE = "run this part in eager (torch.compile does so), or compute it before and pass it in"
_COMPLEX = (
    "write it in real numbers: a rotary embedding is x * cos + rotate_half(x) * sin, with tables "
    "of cos and sin"
)

# By ATen base name; "control flow" is the model's own Python.
_REMEDIES = {
    "control flow": "choose with torch.where, or decide outside the model and compile each branch",
    "cond": "compute both branches and choose with torch.where",
    "equal": "(a == b).all() answers as a tensor",
    "allclose": "torch.isclose(a, b).all() answers as a tensor",
    "one_hot": "pass num_classes",
    "upsample_bilinear2d": "cast to float first: F.interpolate(x.float(), ...)",
    "upsample_bicubic2d": "cast to float first: F.interpolate(x.float(), ...)",
    "_assert_async": "leave the check out",
    "_print": "leave it out",
    "_local_scalar_dense": "keep it a tensor: index with index_select, choose with torch.where",
    "item": "keep it a tensor: index with index_select, choose with torch.where",
    **dict.fromkeys(
        (
            "bincount",
            "masked_select",
            "nonzero",
            "repeat_interleave",
            "unique_consecutive",
            "unique_dim",
            "_unique",
            "_unique2",
        ),
        _SELECT,
    ),
    **dict.fromkeys(
        (
            "bernoulli",
            "multinomial",
            "normal",
            "normal_functional",
            "poisson",
            "rand",
            "rand_like",
            "randint",
            "randint_like",
            "randn",
            "randn_like",
            "randperm",
            "uniform",
        ),
        _RANDOM,
    ),
    **dict.fromkeys(
        ("complex", "polar", "view_as_complex", "view_as_real", "_conj", "real", "imag"), _COMPLEX
    ),
}
# Families of linear algebra and spectra: factorisations and iterations.
_FAMILIES = ("linalg_", "_linalg_", "_fft_", "fft_", "cholesky", "lu_", "triangular_solve", "geqrf")
_DEFAULT = "rewrite it with supported ops, or add a rule: docs/add-an-op.md"


def remedy_of(op: str) -> str:
    """What to do about ``op``, as the table names it (``aten.equal.default``)."""
    base = op.removeprefix("aten.").split(".")[0]
    if base.startswith(_FAMILIES):
        return _OUTSIDE
    return _REMEDIES.get(base, _DEFAULT)
