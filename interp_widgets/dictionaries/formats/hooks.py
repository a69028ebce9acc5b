"""What other tools call the places of a model, as places.

TransformerLens (SAELens, llamascopium):  blocks.8.hook_resid_pre, blocks.8.ln2.hook_normalized
modules (sparsify, Gemma Scope 2):        layers.3.mlp, model.layers.12.output, transformer.h.3
Llama Scope:                              L11R (residual), L11M (MLP), L11A (attention)

A module stands for its output unless ".input" follows. For an attention module that is
`attn_out`, which is not exact in Gemma 2 and 3, whose attention is followed by a norm.
"""

from __future__ import annotations

import re

from interp_widgets.dictionaries.errors import DictionaryError
from interp_widgets.models.places import Place, Site

_TRANSFORMER_LENS: dict[str, Site] = {
    "hook_resid_pre": "resid_pre",
    "hook_resid_mid": "resid_mid",
    "hook_resid_post": "resid_post",
    "hook_in": "resid_pre",
    "hook_out": "resid_post",
    "attn.hook_z": "attn_z",
    "hook_attn_out": "attn_out",
    # TransformerLens gives the stream in front of the MLP's norm this name.
    "hook_mlp_in": "resid_mid",
    "ln2.hook_normalized": "mlp_normalized",
    "mlp.hook_in": "mlp_in",
    "mlp.hook_post": "neurons",
    "mlp.hook_out": "mlp_raw",
    "hook_mlp_out": "mlp_out",
}
_ATTENTION = ("self_attn", "attn", "attention")
_OUT_PROJECTIONS = ("o_proj", "out_proj", "c_proj", "dense")
_MODULES: dict[str, Site] = {
    "": "resid_post",
    "output": "resid_post",
    "input": "resid_pre",
    "mlp": "mlp_raw",
    "mlp.output": "mlp_raw",
    "mlp.input": "mlp_in",
    "pre_feedforward_layernorm.output": "mlp_in",
    "post_feedforward_layernorm.output": "mlp_out",
    **{f"{name}{end}": "attn_out" for name in _ATTENTION for end in ("", ".output")},
    **{f"{name}.{out}.input": "attn_z" for name in _ATTENTION for out in _OUT_PROJECTIONS},
}
_LLAMA_SCOPE: dict[str, Site] = {"R": "resid_post", "M": "mlp_out", "A": "attn_out"}

_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)", re.ASCII)
_MODULE = re.compile(r"(?:[a-z_]+\.)*(?:layers|h|layer)[._](\d+)(?:\.(.+))?", re.ASCII)
_SHORT = re.compile(r"L(\d+)([A-Z]+)", re.ASCII)
# No model has as many layers; a longer number is damage.
_MAX_DIGITS = 5


def place(name: str, source: object) -> Place:
    """The place of a hook's or module's name.

    source: the file that names it, for the message.

    Raises DictionaryError for a name that is none we know, naming some that are.
    """
    for pattern, sites in (
        (_BLOCK, _TRANSFORMER_LENS),
        (_MODULE, _MODULES),
        (_SHORT, _LLAMA_SCOPE),
    ):
        match = pattern.fullmatch(name)
        if match is not None and len(match[1]) <= _MAX_DIGITS and (match[2] or "") in sites:
            return Place(int(match[1]), sites[match[2] or ""])
    known = ", ".join(_TRANSFORMER_LENS)
    raise DictionaryError(
        f"{source}: the hook {name[:80]!r} is none that can be read; known are blocks.LAYER.NAME "
        f"with {known}, and modules such as model.layers.LAYER, layers.LAYER.mlp."
    )


def module_in_and_out(name: str, source: object) -> tuple[Place, Place]:
    """What a module reads and what it gives."""
    bare = name.removesuffix(".output")
    return place(f"{bare}.input", source), place(bare, source)


def name_of(where: Place) -> str:
    """TransformerLens' name of a place, the first where it has several.

    Raises DictionaryError for a place that no dictionary of that tool's layout reads.
    """
    hooks = {site: hook for hook, site in reversed(_TRANSFORMER_LENS.items())}
    if where.site not in hooks:
        raise DictionaryError(
            f"{where} has no name that other tools read dictionaries by; such places are "
            f"{', '.join(hooks)}. Save it in our own layout."
        )
    return f"blocks.{where.layer}.{hooks[where.site]}"
