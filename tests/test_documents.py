"""Graph files are written so that others can read them, and read as others write them."""

from __future__ import annotations

import json
import pathlib
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest
from tiny_graphs import (
    HOSTILE,
    NAN,
    assert_valid,
    differences,
    peer_document,
    peer_node,
    tiny_notes,
    tiny_table,
)

from interp_widgets.attribution import Graph
from interp_widgets.attribution.documents import from_document, to_document
from interp_widgets.attribution.errors import GraphFileError
from interp_widgets.attribution.formats.naming import cantor, uncantor
from interp_widgets.attribution.notes import Notes
from interp_widgets.attribution.table import ERROR, FEATURE, OUTPUT, TOKEN, GraphTable, node_id

GOLDEN = pathlib.Path(__file__).parents[2] / "shared" / "oracles" / "graphs"
TEXT = {"type": "string"}
# What Neuronpedia's validator asks of an upload, written down from its description.
CONTRACT = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "required": ["metadata", "qParams", "nodes", "links"],
    "properties": {
        "metadata": {
            "type": "object",
            "required": ["slug", "scan", "prompt_tokens", "prompt"],
            "properties": {
                "slug": {**TEXT, "pattern": "^[A-Za-z0-9_.-]+$"},
                "scan": {**TEXT, "pattern": "^[A-Za-z0-9_.-]+$"},
                "prompt": TEXT,
                "prompt_tokens": {"type": "array", "items": TEXT},
                "node_threshold": {"type": "number"},
                "feature_details": {"type": "object"},
                "info": {"type": "object", "properties": {"generator": {"type": "object"}}},
            },
        },
        "qParams": {
            "type": "object",
            "properties": {
                "pinnedIds": {"type": "array", "items": TEXT},
                "supernodes": {"type": "array", "items": {"type": "array", "items": TEXT}},
                "linkType": TEXT,
                "clickedId": TEXT,
                "sg_pos": TEXT,
            },
        },
        "nodes": {
            "type": "array",
            "items": {
                "type": "object",
                "required": [
                    "node_id", "feature", "layer", "ctx_idx", "feature_type", "jsNodeId", "clerp",
                ],
                "properties": {
                    "node_id": TEXT,
                    "feature": {"type": ["integer", "null"]},
                    "layer": {"type": ["string", "integer"]},
                    "ctx_idx": {"type": "integer"},
                    "feature_type": TEXT,
                    "jsNodeId": TEXT,
                    "clerp": TEXT,
                    "influence": {"type": ["number", "null"]},
                    "activation": {"type": ["number", "null"]},
                },
            },
        },
        "links": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["source", "target", "weight"],
                "properties": {"source": TEXT, "target": TEXT, "weight": {"type": "number"}},
            },
        },
    },
}  # fmt: skip


def written(table: GraphTable | None = None, notes: Notes | None = None, **more: Any) -> Any:
    """A whole document, through its text."""
    table = tiny_table() if table is None else table
    cumulative = np.zeros(table.n_nodes) if table.cumulative is None else table.cumulative
    options = {"nodes": None, "edges": None, "slug": "a b/c", "node_threshold": 0.8} | more
    document = to_document(table, notes or Notes(), cumulative=cumulative, **options)
    return json.loads(json.dumps(document, allow_nan=False))


def refusal(document: Any) -> str:
    """The one sentence with which a document is refused."""
    with pytest.raises(GraphFileError) as caught:
        from_document(document)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


# --- writing ----------------------------------------------------------------------------------


def test_a_written_graph_meets_neuronpedias_contract() -> None:
    jsonschema.validate(written(notes=tiny_notes()), CONTRACT)
    jsonschema.validate(written(replace(tiny_table(), scan="../"), Notes()), CONTRACT)


def test_a_written_graph_reads_back_to_the_last_bit() -> None:
    table, notes = tiny_table(), tiny_notes()
    read, read_notes = from_document(written(table, notes))
    assert differences(table, replace(read, settings=table.settings)) == []
    assert read_notes == notes
    assert read.settings == {**table.settings, "slug": "a-b-c"}


def test_weights_are_written_with_the_shortest_digits() -> None:
    text = json.dumps(written())
    assert '"weight": 0.1}' in text
    assert '"weight": 3.3e+38}' in text
    assert '"weight": -1e-45}' in text


def test_outputs_labels_carry_their_probability_whatever_the_user_calls_them() -> None:
    clerps = {n["node_id"]: n["clerp"] for n in written(notes=tiny_notes())["nodes"]}
    assert clerps["4_9_2"] == 'Output "John (p=0.9)" (p=0.600)'
    assert clerps["4_301_2"] == 'Output "Mary − John" (p=0.500)'
    assert clerps["4_3_2"].endswith("(p=0.000)")


def test_a_users_label_replaces_the_label_that_came_with_the_graph() -> None:
    nodes = {n["node_id"]: n for n in written(notes=tiny_notes())["nodes"]}
    assert nodes["0_7_2"]["clerp"] == "second"
    assert nodes["0_7_2"]["interp_widgets"]["name"] == HOSTILE
    assert nodes["0_2_1"]["clerp"] == HOSTILE
    assert nodes["E_0_0"]["clerp"] == ""


def test_features_are_numbered_by_cantor_pairing() -> None:
    nodes = {n["node_id"]: n for n in written()["nodes"]}
    assert nodes["2_100000_2"]["feature"] == 5_000_350_003
    assert [uncantor(cantor(x, y)) for x, y in [(0, 0), (3, 9), (80, 2**31)]] == [
        (0, 0), (3, 9), (80, 2**31),
    ]  # fmt: skip


def test_the_source_set_stands_where_both_readers_look() -> None:
    metadata = written()["metadata"]
    assert metadata["feature_details"]["neuronpedia_source_set"] == "tiny-16k"
    assert metadata["info"]["neuronpedia_source_set"] == "tiny-16k"


@pytest.mark.parametrize("slug", ["..", "", "/", "é", "<b>"])
def test_a_slug_is_safe_in_addresses_and_paths(slug: str) -> None:
    jsonschema.validate(written(slug=slug), CONTRACT)
    assert written(slug=slug)["metadata"]["slug"] not in (".", "..")


def test_nodes_and_edges_that_are_cut_leave_no_trace_in_links_or_notes() -> None:
    nodes = np.ones(12, dtype=bool)
    nodes[[0, 7]] = False
    edges = np.ones(14, dtype=bool)
    edges[-2] = False
    document = written(notes=tiny_notes(), nodes=nodes, edges=edges)
    ids = {n["node_id"] for n in document["nodes"]}
    assert len(ids) == 10
    assert len(document["links"]) == 14 - 4 - 1
    assert all(link["source"] in ids and link["target"] in ids for link in document["links"])
    assert document["qParams"]["pinnedIds"] == ["1_4_1"]
    assert document["qParams"]["supernodes"] == [[HOSTILE, "0_7_2"], ["empty"], ["", "2_error_1"]]
    table, notes = from_document(document)
    assert notes.selected == ["4_9_2"]
    assert table.settings["max_nodes"] == 4


def test_what_a_cut_edge_brought_is_still_part_of_its_targets_sum() -> None:
    table = tiny_table()
    edges = np.ones(14, dtype=bool)
    edges[[5, 7]] = False  # 0.7 and 1.5 into node 3
    read, _ = from_document(written(table, edges=edges))
    assert read.hidden[3] == pytest.approx(1 / 3 + 0.7 + 1.5)
    assert read.hidden[9] == table.hidden[9]


def test_a_weight_that_json_cannot_hold_is_refused_by_name() -> None:
    weight = tiny_table().weight.copy()
    weight[1] = np.inf
    with pytest.raises(GraphFileError, match=r"from E_66_2 to 0_7_2 has no finite weight"):
        written(replace(tiny_table(), weight=weight))


def test_settings_of_any_kind_become_plain_json() -> None:
    settings = {"a": np.float32(2), "b": (1, NAN), "c": pathlib.PurePosixPath("x"), 3: np.arange(2)}
    read, _ = from_document(written(replace(tiny_table(), settings=settings)))
    assert read.settings == {"a": 2.0, "b": [1, None], "c": "x", "3": [0, 1], "slug": "a-b-c"}


def test_a_graph_without_nodes_is_written_and_read() -> None:
    document = {**peer_document(), "nodes": [], "links": []}
    table, notes = from_document(document)
    assert_valid(table, notes)
    assert (
        differences(table, replace(from_document(written(table))[0], settings=table.settings)) == []
    )


# --- circuit-tracer's own file ----------------------------------------------------------------


@pytest.fixture(scope="module")
def golden() -> tuple[dict[str, Any], GraphTable]:
    files = sorted(GOLDEN.glob("*.json")) if GOLDEN.is_dir() else []
    if not files:
        pytest.skip("needs graph files of circuit-tracer beside the repository")
    table, notes = from_document(files[0])
    assert_valid(table, notes)
    assert notes == Notes()
    return json.loads(files[0].read_text()), table


def test_circuit_tracers_file_is_read_node_by_node(golden: Any) -> None:
    document, table = golden
    assert (table.n_nodes, table.n_edges, table.n_layers) == (83, 1242, 4)
    assert table.tokens == ("<bos>", "the", "capital", "of", "france", "is")
    place = {id: i for i, id in enumerate(table.ids)}
    assert len(place) == 83
    for node in document["nodes"]:
        i = place[node["node_id"]]
        assert table.position[i] == node["ctx_idx"]
        if table.kind[i] == FEATURE:
            assert f"{table.layer[i]}_{table.feature[i]}_{table.position[i]}" == node["node_id"]
            assert table.activation[i] == np.float32(node["activation"])
            assert table.cumulative[i] == np.float32(node["influence"])
        if table.kind[i] == TOKEN:
            assert node["node_id"] == f"E_{table.feature[i]}_{table.position[i]}"
        if table.kind[i] == OUTPUT:
            assert table.layer[i] == 4
            assert table.probability[i] == np.float32(node["token_prob"])
            assert node["clerp"].startswith(f'Output "{table.names[i]}" (p=')
    assert table.cumulative is not None
    assert np.isnan(table.cumulative[table.kind == OUTPUT]).all()


def test_circuit_tracers_weights_are_where_a_plain_loop_finds_them(golden: Any) -> None:
    document, table = golden
    edges = {}
    for target in range(table.n_nodes):
        for edge in range(table.ptr[target], table.ptr[target + 1]):
            edges[table.ids[table.source[edge]], table.ids[target]] = table.weight[edge]
    assert len(edges) == len(document["links"])
    for link in document["links"]:
        assert edges[link["source"], link["target"]] == np.float32(link["weight"])


def test_circuit_tracers_file_survives_our_writing(golden: Any) -> None:
    document, table = golden
    read, _ = from_document(written(table, slug=document["metadata"]["slug"]))
    assert differences(table, read) == []
    jsonschema.validate(written(table), CONTRACT)


# --- what others write ------------------------------------------------------------------------


def test_a_peers_graph_is_sorted_whatever_the_order_of_its_nodes() -> None:
    document = peer_document()
    there, _ = from_document(document)
    document["nodes"].reverse()
    document["links"].reverse()
    back, notes = from_document(document)
    assert_valid(back, notes)
    assert differences(there, back) == []
    assert there.ids == ("0_7_1", "2_14332_2", "0_1_1", "E_0_0", "E_55_1", "4_9_2")
    assert there.kind.tolist() == [FEATURE, FEATURE, ERROR, TOKEN, TOKEN, OUTPUT]
    assert there.layer.tolist() == [0, 2, 1, -1, -1, 3]
    assert there.names == ("", "", "", "<bos>", "Mary", " John")
    assert notes.threshold == 0.7


@pytest.mark.parametrize("style", ["text", "bytes", "bom", "path", "path as text", "parsed"])
def test_a_document_comes_as_text_bytes_path_or_parsed(style: str, tmp_path: pathlib.Path) -> None:
    text = json.dumps(peer_document())
    path = tmp_path / "graph.json"
    path.write_text(text)
    given: Any = {
        "text": text,
        "bytes": text.encode(),
        "bom": b"\xef\xbb\xbf" + text.encode(),
        "path": path,
        "path as text": str(path),
        "parsed": peer_document(),
    }[style]
    assert from_document(given)[0].n_edges == 4


@pytest.mark.parametrize(
    "pinned", [["0_7_1", "E_0_0"], "0_7_1,E_0_0", '["0_7_1", "E_0_0"]', "0_7_1, E_0_0,"]
)
def test_pins_are_read_as_list_or_as_text(pinned: Any) -> None:
    table, notes = from_document(peer_document(pinnedIds=pinned))
    assert notes.pinned == ["0_7_1", "E_0_0"]
    assert "notes" not in table.settings


@pytest.mark.parametrize("as_text", [False, True])
def test_supernodes_are_read_as_list_or_as_text(as_text: bool) -> None:
    groups = [["a, b", "0_7_1", "2_14332_2"], [HOSTILE, "E_0_0"]]
    given = json.dumps(groups) if as_text else groups
    assert from_document(peer_document(supernodes=given))[1].groups == groups


def test_notes_about_unknown_nodes_are_dropped_and_told() -> None:
    groups = [["gone", "9_9_9"], ["kept", "9_9_9", "0_7_1"], "what", [3]]
    document = peer_document(
        pinnedIds=["0_7_1", "1_2_3", None], supernodes=groups, clickedId="supernode-1"
    )
    table, notes = from_document(document)
    assert notes == Notes(pinned=["0_7_1"], groups=[["kept", "0_7_1"]], threshold=0.7)
    told = " ".join(table.settings["notes"])
    assert "Pinned or grouped ids that name no node: 3 ('1_2_3', nothing, '9_9_9')" in told
    assert told.count("A supernode was dropped") == 2


def test_pins_of_anthropics_viewer_name_nodes_by_jsnodeid() -> None:
    document = peer_document(pinnedIds=["unique-0", "both-0"], clickedId="unique-0")
    document["nodes"][0]["jsNodeId"] = "unique-0"
    document["nodes"][1]["jsNodeId"] = document["nodes"][2]["jsNodeId"] = "both-0"
    _, notes = from_document(document)
    assert notes.pinned == notes.selected == ["0_7_1"]


def test_labels_that_circuit_tracers_save_put_into_qparams_are_the_users() -> None:
    feature = peer_document()["nodes"][1]["feature"]
    saved = json.dumps([[str(feature), "capital"], ["E_0_0", "start"], ["12345", "none"]])
    _, notes = from_document(peer_document(clerps=saved))
    assert notes.labels == {"2_14332_2": "capital", "E_0_0": "start"}
    assert from_document(peer_document(clerps=[[feature, "x"], 5]))[1].labels == {"2_14332_2": "x"}


def test_an_unknown_label_key_labels_nothing() -> None:
    document = peer_document(clerps=[["nonsense", "x"], [-1, "y"]])
    document["nodes"][0]["feature"] = None
    assert from_document(document)[1].labels == {}


def test_a_saved_slider_outweighs_the_threshold_of_the_file() -> None:
    assert from_document(peer_document(pruningThreshold="0.45"))[1].threshold == 0.45
    assert from_document(peer_document(pruningThreshold=0.35))[1].threshold == 0.35
    assert from_document(peer_document(pruningThreshold="nan"))[1].threshold == 0.7
    assert from_document(peer_document(pruningThreshold="x"))[1].threshold == 0.7


def test_what_the_schema_requires_may_still_be_missing() -> None:
    document = peer_document()
    del document["qParams"]
    document["metadata"]["node_threshold"] = None
    del document["metadata"]["prompt"]
    for node in document["nodes"]:
        del node["clerp"], node["jsNodeId"], node["influence"], node["activation"]
    table, notes = from_document(document)
    assert_valid(table, notes)
    assert notes.threshold == 0.8
    assert table.prompt == "<bos>Mary and"
    assert table.cumulative is None
    assert table.names[-1] == ""
    assert table.probability[-1] == 0.75


@pytest.mark.parametrize("form", [int, str, float])
def test_layers_are_read_as_numbers_or_text(form: Any) -> None:
    document = peer_document()
    for node in document["nodes"]:
        if node["layer"] != "E":
            node["layer"] = form(int(node["layer"]))
    assert differences(from_document(document)[0], from_document(peer_document())[0]) == []


@pytest.mark.parametrize(
    ("written_as", "expected"),
    [("4", 3), ("3", 3), ("27", 26), ("E1", 3), (None, 3), (10**30, 3), ("-1", 3), (1, 3)],
)
def test_the_number_of_layers_follows_from_outputs_and_the_last_feature(
    written_as: Any, expected: int
) -> None:
    document = peer_document()
    document["nodes"][-1]["layer"] = written_as
    table, notes = from_document(document)
    assert_valid(table, notes)
    assert table.n_layers == expected


@pytest.mark.parametrize(
    ("id", "number", "expected"),
    [
        ("2_14332_2", cantor(2, 14_332), 14_332),
        ("2_14332_2", 14_332, 14_332),
        ("2_14332_2", 2_014_332, 14_332),  # the older numbering: layer, then five digits
        ("some node", cantor(2, 70_000), 70_000),  # a number beyond 2**31
        ("some node", 14_332, 14_332),
        ("some node", None, -1),
        ("some node", -1, -1),
        ("some node", 2**62, -1),
        ("7_14332_2", cantor(2, 5), 5),  # an id about something else
    ],
)
def test_feature_numbers_are_indices_or_cantor_numbers(
    id: str, number: int | None, expected: int
) -> None:
    document = peer_document()
    document["nodes"] = [{**peer_node(FEATURE, 2, 2, 0), "node_id": id, "feature": number}]
    document["links"] = []
    table, _ = from_document(document)
    assert table.feature.tolist() == [expected]


def test_an_outputs_probability_may_stand_in_its_label_only() -> None:
    document = peer_document()
    document["nodes"][-1] |= {"token_prob": 0.0, "clerp": "output: ' Bob' (p=0.250)"}
    table, _ = from_document(document)
    assert table.probability[-1] == table.target_weight[-1] == 0.25
    assert table.names[-1] == " Bob"
    document["nodes"][-1] |= {"token_prob": None, "clerp": "Bob (p=many)"}
    table, _ = from_document(document)
    assert np.isnan(table.probability[-1])
    assert table.target_weight[-1] == 1.0
    assert table.names[-1] == "Bob (p=many)"


def test_repeated_links_are_added() -> None:
    document = peer_document()
    document["links"] += [document["links"][0], {**document["links"][3], "weight": -1}]
    table, _ = from_document(document)
    assert table.n_edges == 4
    assert table.weight[0] == 1.0
    assert table.weight[-1] == 2.0
    assert table.settings["notes"] == ["Repeated links, added to the first ones: 2."]


def test_links_within_a_layer_are_kept_and_told() -> None:
    document = peer_document()
    document["nodes"].append(peer_node(FEATURE, 2, 1, 3, feature_type="lorsa"))
    document["links"].append({"source": "2_3_1", "target": "2_14332_2", "weight": 1})
    table, notes = from_document(document)
    assert_valid(table, notes)
    assert table.n_edges == 5
    assert table.settings["notes"] == [
        "Links within a layer, which count in influence only in part: 1."
    ]


def test_metadata_we_do_not_understand_is_kept_and_written_back() -> None:
    document = peer_document(sg_pos="0,1", gridsnap=True)
    extra = {
        "info": {"creator_name": "Ada", "generator": {"name": "ct"}, "neuronpedia_source_set": "s"},
        "feature_details": {"feature_json_base_url": "https://example.org"},
        "generation_settings": {"max_n_logits": 10},
        "title_prefix": HOSTILE,
        "transcoder_list": ["a", "b"],
    }
    document["metadata"] |= extra
    document["nodes"][2]["feature_type"] = "lorsa error"
    table, _ = from_document(document)
    assert table.settings["source_set"] == "s"
    again = written(table, slug="peer")
    extra["feature_details"] = {**extra["feature_details"], "neuronpedia_source_set": "s"}  # type: ignore[dict-item]
    assert {name: again["metadata"][name] for name in extra} == extra
    assert again["qParams"]["sg_pos"] == "0,1"
    assert again["qParams"]["gridsnap"] is True
    assert [n["feature_type"] for n in again["nodes"]].count("lorsa error") == 1
    assert from_document(again)[0].settings == table.settings


def test_labels_changed_in_another_program_are_newer_than_ours() -> None:
    document = written(notes=tiny_notes())
    for node in document["nodes"]:
        if node["node_id"] == "0_7_2":
            node["clerp"] = "third"
    document["qParams"]["clickedId"] = "1_4_1"
    document["metadata"]["scan"] = "gemma-2-2b"
    table, notes = from_document(document)
    assert notes.labels == {**tiny_notes().labels, "0_7_2": "third"}
    assert notes.selected == ["1_4_1"]
    assert table.scan == "gemma-2-2b"


def test_hostile_text_stays_exact_text() -> None:
    document = peer_document(pinnedIds=[HOSTILE], supernodes=[[HOSTILE, HOSTILE]])
    document["metadata"]["prompt_tokens"][1] = HOSTILE
    document["nodes"][0] |= {"node_id": HOSTILE, "clerp": HOSTILE}
    for link in document["links"]:
        for end in ("source", "target"):
            link[end] = HOSTILE if link[end] == "0_7_1" else link[end]
    table, notes = from_document(document)
    again, again_notes = from_document(written(table, notes))
    for t, n in ((table, notes), (again, again_notes)):
        assert t.ids[0] == t.names[0] == t.tokens[1] == HOSTILE
        assert n.pinned == [HOSTILE]
        assert n.groups == [[HOSTILE, HOSTILE]]


# --- ids that stand for two nodes -------------------------------------------------------------


def collided_document() -> dict[str, Any]:
    """`0_1_2` is feature 1 of layer 0 at position 2, and the error of layer 1 there."""
    nodes = [
        peer_node(FEATURE, 0, 2, 1),
        peer_node(FEATURE, 1, 2, 5),
        peer_node(FEATURE, 2, 2, 6),
        peer_node(ERROR, 1, 2, -1),
        peer_node(TOKEN, -1, 2, 66),
        peer_node(OUTPUT, 3, 2, 9),
    ]
    edges = [
        ("E_66_2", "0_1_2", 1.0),
        ("0_1_2", "1_5_2", 2.0),  # the error of layer 1 feeds later layers only
        ("0_1_2", "2_6_2", 3.0),
        ("0_1_2", "2_6_2", 4.0),
        ("0_1_2", "4_9_2", 5.0),  # could be either's
        ("2_6_2", "4_9_2", 6.0),
    ]
    links = [{"source": s, "target": t, "weight": w} for s, t, w in edges]
    return {**peer_document(pinnedIds=["0_1_2"]), "nodes": nodes, "links": links}


def test_links_of_an_id_that_a_feature_and_an_error_share_are_told_apart() -> None:
    table, notes = from_document(collided_document())
    assert_valid(table, notes)
    assert table.ids == ("0_1_2", "1_5_2", "2_6_2", "1_error_2", "E_66_2", "4_9_2")
    edges = {
        (table.ids[table.source[e]], table.ids[t]): float(table.weight[e])
        for t in range(6)
        for e in range(table.ptr[t], table.ptr[t + 1])
    }
    assert edges == {
        ("E_66_2", "0_1_2"): 1.0,
        ("0_1_2", "1_5_2"): 2.0,
        ("0_1_2", "2_6_2"): 3.0,
        ("1_error_2", "2_6_2"): 4.0,
        ("0_1_2", "4_9_2"): 5.0,
        ("2_6_2", "4_9_2"): 6.0,
    }
    assert notes.pinned == ["0_1_2"]
    assert table.settings["notes"] == [
        "Ids that stood for a feature and an error: 1; links from them that could be either's and "
        "were given to the feature: 1."
    ]
    read, _ = from_document(written(table, slug="peer"))
    assert differences(table, read) == []


def test_a_renamed_error_takes_no_other_nodes_name() -> None:
    document = collided_document()
    document["nodes"].append(peer_node(FEATURE, 2, 1, 8, node_id="1_error_2"))
    table, notes = from_document(document)
    assert_valid(table, notes)
    assert "1_error_2_2" in table.ids


def test_other_nodes_of_one_id_are_refused() -> None:
    document = collided_document()
    document["nodes"].append(peer_node(ERROR, 2, 2, -1, node_id="0_1_2"))
    assert "two nodes have the node_id 0_1_2" in refusal(document)
    document = peer_document()
    document["nodes"].append(document["nodes"][0])
    assert "two nodes have the node_id 0_7_1" in refusal(document)


# --- files that cannot be read ----------------------------------------------------------------


def broken(path: str, value: Any = None) -> dict[str, Any]:
    """A peer's document with one field replaced, or removed where `value` is `...`."""
    document = peer_document()
    at: Any = document
    *steps, last = [int(s) if s.isdecimal() else s for s in path.split(".")]
    for step in steps:
        at = at[step]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return document


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("[1, 2]", "this is a list"),
        ("{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"\x80\x04\x95pickle", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 100_000, "nested too deeply"),
        ('{"metadata": ' + "9" * 5000 + "}", "not JSON"),
        (broken("metadata", ...), "metadata is missing"),
        (broken("nodes", ...), "nodes is missing"),
        (broken("nodes", {}), "nodes is an object where a list should be"),
        (broken("links", None), "links is missing"),
        (broken("metadata.prompt_tokens", [1]), "metadata.prompt_tokens"),
        (broken("nodes.1", "node"), "nodes[1] is a text"),
        (broken("nodes.1.node_id", ...), "nodes[1] has no node_id"),
        (broken("nodes.1.node_id", "x" * 501), "nodes[1] has no node_id"),
        (broken("nodes.1.feature_type", None), "nodes[1] (2_14332_2) has no feature_type"),
        (broken("nodes.1.ctx_idx", 3), "nodes[1] (2_14332_2).ctx_idx is 3"),
        (broken("nodes.1.ctx_idx", ...), "ctx_idx is nothing: give a whole number from 0 to 2"),
        (broken("nodes.1.ctx_idx", True), "ctx_idx is True"),
        (broken("nodes.1.layer", "E"), "layer is 'E'"),
        (broken("nodes.1.layer", 40_000), "layer is 40000"),
        (broken("nodes.1.layer", [[]]), "layer is a list"),
        (broken("nodes.1.feature", "many"), "feature is 'many'"),
        (broken("nodes.1.feature", 10**5000), "feature is a huge number"),
        (broken("links.1", 7), "links[1] is not an object"),
        (broken("links.1.source", ...), "links[1] has no source"),
        (broken("links.1.source", ["0_7_1"]), "links[1] has no source"),
        (broken("links.1.target", "9_9_9"), "no node is called 9_9_9"),
        (broken("links.1.weight", NAN), "has no finite weight"),
        (broken("links.1.weight", 1e39), "has no finite weight"),
        (broken("links.1.weight", 10**5000), "has no finite weight"),
        (broken("links.1.weight", "1"), "has no finite weight"),
        (broken("links.1.weight", True), "has no finite weight"),
        (broken("links.1.weight", ...), "has no finite weight"),
        (broken("links.1.target", "0_7_1"), "links[1] runs from '0_7_1' to '0_7_1', against"),
        (broken("links.3.target", "0_7_1"), "against the order of computation"),
        (broken("metadata.x", json.loads("[" * 400 + "]" * 400)), "metadata is nested too deeply"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_in_a_sentence_that_says_where(document: Any, says: str) -> None:
    message = refusal(document)
    assert says in message
    assert message.startswith("The graph document: ")


def test_a_refusal_names_the_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "bad.json").write_text("{}")
    assert refusal(tmp_path / "bad.json").startswith("bad.json: metadata is missing")
    assert "gone.json: the file cannot be read" in refusal(tmp_path / "gone.json")
    assert "cannot be read" in refusal(tmp_path)
    assert "cannot be read" in refusal("x" * 10_000)
    refusal("no such\0file")
    refusal("")


def test_the_graph_object_writes_and_reads_files(tmp_path: pathlib.Path) -> None:
    graph = Graph(tiny_table(), tiny_notes())
    graph.to_json(tmp_path / "graph.json", node_threshold=1, edge_threshold=1)
    again = Graph.from_json(tmp_path / "graph.json")
    assert again.notes == graph.notes
    assert again.table.n_edges == 14
    assert Graph.from_json(graph.to_json(node_threshold=0.5)).notes.pinned == ["1_4_1", "E_55_1"]


def test_five_thousand_nodes_and_200_thousand_links_survive() -> None:
    random = np.random.default_rng(0)
    n, m = 5000, 200_000
    layer = np.sort(random.integers(0, 40, n)).astype(np.int16)
    pairs = random.integers(0, n, (2, 3 * m))
    key = np.unique(np.max(pairs, 0) * n + np.min(pairs, 0))
    key = np.sort(random.permutation(key[layer[key // n] > layer[key % n]])[:m])
    floats = random.standard_normal(n).astype(np.float32)
    feature = np.arange(n, dtype=np.int32)
    table = GraphTable(
        "", ("a",), 40, "feature", "error", "", "",
        tuple(node_id(FEATURE, int(x), 0, i) for i, x in enumerate(layer)), ("",) * n,
        np.zeros(n, np.uint8), layer, np.zeros(n, np.int32), feature, floats, floats, floats,
        floats, np.full(n, NAN, np.float32), floats, np.zeros(n, np.float32),
        np.concatenate([[0], np.cumsum(np.bincount(key // n, minlength=n))]),
        (key % n).astype(np.int32), random.standard_normal(len(key)).astype(np.float32),
    )  # fmt: skip
    assert table.n_edges == m
    document = to_document(table, Notes(), None, None, floats, slug="s", node_threshold=0.8)
    read, _ = from_document(json.dumps(document))
    assert differences(table, replace(read, settings={}, cumulative=None)) == []
