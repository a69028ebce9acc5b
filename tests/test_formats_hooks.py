"""Names of hooks and modules are taken for the places they mean."""

from __future__ import annotations

import pytest

from interp_widgets.dictionaries import DictionaryError
from interp_widgets.dictionaries.formats.hooks import module_in_and_out, name_of, place
from interp_widgets.models.places import SITES, Place, Site

MEANT = {
    "blocks.8.hook_resid_pre": "L8 resid_pre",
    "blocks.0.hook_resid_mid": "L0 resid_mid",
    "blocks.11.hook_resid_post": "L11 resid_post",
    "blocks.3.attn.hook_z": "L3 attn_z",
    "blocks.3.hook_attn_out": "L3 attn_out",
    "blocks.3.hook_mlp_out": "L3 mlp_out",
    # In TransformerLens the MLP's norm is applied behind this hook.
    "blocks.3.hook_mlp_in": "L3 resid_mid",
    "blocks.3.ln2.hook_normalized": "L3 mlp_normalized",
    "blocks.3.mlp.hook_in": "L3 mlp_in",
    "blocks.3.mlp.hook_post": "L3 neurons",
    "blocks.3.mlp.hook_out": "L3 mlp_raw",
    "layers.3.mlp": "L3 mlp_raw",
    "layers.23": "L23 resid_post",
    "h.2": "L2 resid_post",
    "transformer.h.2.mlp": "L2 mlp_raw",
    "gpt_neox.layers.4.attention": "L4 attn_out",
    "model.layers.12.output": "L12 resid_post",
    "model.layers.12.self_attn.o_proj.input": "L12 attn_z",
    "model.layers.12.pre_feedforward_layernorm.output": "L12 mlp_in",
    "model.layers.12.post_feedforward_layernorm.output": "L12 mlp_out",
    "L11R": "L11 resid_post",
    "L3M": "L3 mlp_out",
    "L3A": "L3 attn_out",
}


@pytest.mark.parametrize("name", MEANT)
def test_a_name_means_its_place(name: str) -> None:
    assert str(place(name, "here")) == MEANT[name]


@pytest.mark.parametrize(
    "name",
    ["", "hook_embed", "blocks.x.hook_resid_pre", "blocks.-1.hook_resid_pre", "blocks.3.hook_q",
     "embed_tokens", "layers.3.mlp.gate_proj", "blocks.3", "L3", "L3TC", "blocks.999999.hook_resid_pre",
     "blocks.٣.hook_resid_pre", "layers.3.mlp\n"],
)  # fmt: skip
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(DictionaryError, match=r"^here: the hook .* known are blocks\.LAYER\.NAME"):
        place(name, "here")


def test_a_transcoder_reads_what_goes_into_its_module() -> None:
    for name in ("layers.3.mlp", "layers.3.mlp.output"):
        assert module_in_and_out(name, "here") == (Place(3, "mlp_in"), Place(3, "mlp_raw"))
    assert module_in_and_out("layers.3", "") == (Place(3, "resid_pre"), Place(3, "resid_post"))


NAMELESS = (
    "attn_normalized",
    "attn_q",
    "attn_k",
    "attn_v",
    "pattern",
    "attn_raw",
    "final_normalized",
)


@pytest.mark.parametrize("site", [site for site in SITES if site not in NAMELESS])
def test_every_place_of_a_dictionary_has_a_name_that_means_it(site: Site) -> None:
    where = Place(5, site)
    assert place(name_of(where), "here") == where


@pytest.mark.parametrize("site", NAMELESS)
def test_a_place_without_a_name_is_said_to_have_none(site: Site) -> None:
    with pytest.raises(DictionaryError, match=f"^L5 {site} has no name .* our own layout"):
        name_of(Place(5, site))
