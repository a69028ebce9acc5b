"""A thousand damaged files of every format: one clear sentence each, and no code is run."""

from __future__ import annotations

import json
import pathlib
import pickle
import random
import struct
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
import torch
from broken_dictionaries import Tensors, Trap, as_bytes, read_tensors, refusal, trapped, verdict
from tiny_dictionaries import tiny
from tiny_formats import CASES, gemma_scope

from interp_widgets.dictionaries import load, save
from interp_widgets.dictionaries.formats import circuit_tracer

COUNT = 1000
SETTINGS = (".json", ".yaml")
Dice = random.Random


def folders(root: pathlib.Path) -> list[pathlib.Path]:
    """A folder in every layout."""
    made = []
    for index, (case, write) in enumerate(CASES.items()):
        # A TopK without its threshold still is a TopK, which is not damage.
        if case != "Llama Scope TopK with a threshold":
            made.append(write(root / str(index)).folder)
    for kind in ("transcoder", "cross-layer transcoder"):
        for activation in ("jumprelu", "topk_relu"):
            dictionary = tiny(kind, activation, skip=True)
            made.append(root / f"ours {kind} {activation}")
            save(dictionary, made[-1], dtype="int8" if activation == "jumprelu" else None)
            made.append(root / f"circuit-tracer {kind} {activation}")
            circuit_tracer.save(dictionary, made[-1])
    return made


def matrices(tensors: Tensors) -> list[str]:
    return sorted(k for k, t in tensors.items() if t.numel() > 2 and t.is_floating_point())


def truncated(path: pathlib.Path, dice: Dice) -> bytes:
    whole = path.read_bytes()
    return whole[: dice.randrange(len(whole))]


def not_numbers(path: pathlib.Path, dice: Dice) -> bytes:
    tensors = read_tensors(path)
    key = dice.choice(matrices(tensors))
    changed = tensors[key].flatten().clone()
    changed[dice.randrange(len(changed))] = dice.choice([float("nan"), float("inf"), -float("inf")])
    return as_bytes(tensors | {key: changed.view_as(tensors[key])}, path.suffix)


def wrong_dtype(path: pathlib.Path, dice: Dice) -> bytes:
    tensors = read_tensors(path)
    key = dice.choice(matrices(tensors))
    dtype = dice.choice([torch.int64, torch.int32, torch.bool, torch.uint8])
    return as_bytes(tensors | {key: tensors[key].to(dtype)}, path.suffix)


def swapped_keys(path: pathlib.Path, dice: Dice) -> bytes:
    tensors = read_tensors(path)
    names = matrices(tensors)
    pairs = [(a, b) for a in names for b in names if tensors[a].shape != tensors[b].shape]
    if not pairs:  # a file of one tensor
        return as_bytes({f"{name}_": tensors[name] for name in names}, path.suffix)
    one, other = dice.choice(pairs)
    return as_bytes(tensors | {one: tensors[other], other: tensors[one]}, path.suffix)


def lost_key(path: pathlib.Path, dice: Dice) -> bytes:
    tensors = read_tensors(path)
    # circuit-tracer's layout leaves it to the file whether there is a skip connection.
    needed = [key for key in matrices(tensors) if not key.startswith("W_skip")]
    del tensors[dice.choice(needed)]
    return as_bytes(tensors, path.suffix)


def unknown_key(path: pathlib.Path, dice: Dice) -> bytes:
    unknown = dice.choice(["W_enc_2", "log_threshold", "k_proj.weight", "ünicode"])
    return as_bytes(read_tensors(path) | {unknown: torch.ones(3)}, path.suffix)


def wrong_shape(path: pathlib.Path, dice: Dice) -> bytes:
    tensors = read_tensors(path)
    key = dice.choice(matrices(tensors))
    tensor = tensors[key]
    ways = [tensor[:-1], tensor[None], tensor.flatten()[:1], tensor[:0]]
    return as_bytes(tensors | {key: dice.choice(ways).clone()}, path.suffix)


def huge_header(path: pathlib.Path, dice: Dice) -> bytes:
    """A header that promises more than there is: in its length, or in the shape it tells."""
    if path.suffix != ".safetensors":
        return huge_array(path, dice)
    if dice.random() < 0.5:
        return struct.pack("<Q", dice.randrange(2**16, 2**63)) + path.read_bytes()[8:]
    shape = [2 ** dice.randrange(20, 40)] * 2
    text = {"W_enc": {"dtype": "F32", "shape": shape, "data_offsets": [0, 16]}}
    header = json.dumps(text).encode()
    return struct.pack("<Q", len(header)) + header + bytes(16)


def huge_array(path: pathlib.Path, dice: Dice) -> bytes:
    scratch = path.with_name("scratch")
    size = 2 ** dice.randrange(30, 50)
    with zipfile.ZipFile(scratch, "w") as archive:
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({size}, {size}), }}\n"
        length = struct.pack("<H", len(header))
        archive.writestr("W_enc.npy", b"\x93NUMPY\x01\x00" + length + header.encode() + bytes(16))
    content = scratch.read_bytes()
    scratch.unlink()
    return content


def not_weights(path: pathlib.Path, dice: Dice) -> bytes:
    return dice.choice(
        [b"", b"\0", b"not weights", b"<html>404</html>", bytes(200), dice.randbytes(300),
         b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", b"PK\x03\x04" + bytes(80),
         b"\x80\x04]."]
    )  # fmt: skip


def a_pickle(path: pathlib.Path, dice: Dice) -> bytes:
    return trapped(sprung(path), path.suffix, dice)


def not_settings(path: pathlib.Path, dice: Dice) -> bytes:
    return dice.choice(
        [b"", b"[1, 2]", b"null", b"{", b'"text"', b"\xff\xfe\0", b"[" * 100_000, b"x" * 2**21,
         path.read_bytes()[:-5] + b"\0", b"1" * 5000, dice.randbytes(50)]
    )  # fmt: skip


def sprung(path: pathlib.Path) -> pathlib.Path:
    return path.with_name("sprung")


DAMAGES: tuple[Callable[[pathlib.Path, Dice], bytes], ...] = (
    truncated, not_numbers, wrong_dtype, swapped_keys, lost_key, unknown_key, wrong_shape,
    huge_header, not_weights, a_pickle,
)  # fmt: skip


def test_a_thousand_damaged_files_are_refused_in_a_sentence(tmp_path: pathlib.Path) -> None:
    dice, made, seen = Dice(2026), folders(tmp_path), set()
    for number in range(COUNT):
        folder = made[number % len(made)]
        files = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix != ".md")
        settings = [path for path in files if path.suffix in SETTINGS]
        weights = [path for path in files if path.suffix not in SETTINGS]
        if settings and dice.random() < 0.1:
            path, damage = dice.choice(settings), not_settings
        else:
            path, damage = dice.choice(weights), DAMAGES[(number // len(made)) % len(DAMAGES)]
        whole = path.read_bytes()
        damaged = damage(path, dice)
        assert damaged != whole
        path.write_bytes(damaged)
        try:
            said = refusal(folder, lazy=False)
        except BaseException as error:
            raise AssertionError(f"{damage.__name__} of {path.relative_to(tmp_path)}") from error
        assert str(folder) in said
        path.write_bytes(whole)
        seen.add((damage.__name__, path.suffix))
    # Every damage was done, and to every kind of file.
    assert seen >= {(damage.__name__, ".safetensors") for damage in DAMAGES}
    assert seen >= {(not_settings.__name__, suffix) for suffix in SETTINGS}
    assert {suffix for name, suffix in seen if name == "a_pickle"} >= {".pt", ".npz"}
    assert not list(tmp_path.rglob("sprung"))
    for folder in made:
        load(folder)


def test_every_truncation_of_an_archive_is_refused(tmp_path: pathlib.Path) -> None:
    for case in ("Gemma Scope res", "dictionary_learning AutoEncoderTopK"):
        folder = CASES[case](tmp_path).folder
        path = next(p for p in folder.iterdir() if p.suffix in (".npz", ".pt"))
        whole = path.read_bytes()
        for length in [*range(8), *Dice(5).sample(range(8, len(whole)), 40), len(whole) - 1]:
            path.write_bytes(whole[:length])
            assert path.name in refusal(folder)


def test_the_traps_would_go_off(tmp_path: pathlib.Path) -> None:
    """Whoever unpickles them runs their code, so that refusing them means something."""
    pickle.loads(pickle.dumps(Trap(tmp_path / "one")))
    torch.save({"W_enc": Trap(tmp_path / "two")}, tmp_path / "ae.pt")
    torch.load(tmp_path / "ae.pt", weights_only=False)
    np.savez(tmp_path / "x.npz", W_enc=np.array([Trap(tmp_path / "three")], dtype=object))
    np.load(tmp_path / "x.npz", allow_pickle=True)["W_enc"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ae.pt", "one", "three", "two", "x.npz"]


def test_flipped_bytes_load_or_are_refused(tmp_path: pathlib.Path) -> None:
    dice = Dice(3)
    for case in ("Gemma Scope res", "dictionary_learning BatchTopKSAE", "llamascopium topk"):
        folder = CASES[case](tmp_path).folder
        path = next(p for p in folder.iterdir() if p.suffix in (".npz", ".pt", ".safetensors"))
        whole = path.read_bytes()
        for _ in range(100):
            damaged = bytearray(whole)
            for _ in range(dice.randint(1, 3)):
                damaged[dice.randrange(len(whole))] = dice.randrange(256)
            path.write_bytes(damaged)
            said = verdict(folder)
            assert said is None or "\n" not in said


def test_tensors_that_stand_for_more_than_there_is_are_refused(tmp_path: pathlib.Path) -> None:
    """A stride of 0 and a zip of zeros are small files that would fill the memory."""
    folder = CASES["dictionary_learning AutoEncoderTopK"](tmp_path).folder
    state = torch.load(folder / "ae.pt", weights_only=True)
    state["encoder.weight"] = torch.zeros(1).expand(2**20, 2**20)
    torch.save(state, folder / "ae.pt")
    assert "encoder.weight is no plain tensor of the size of its file" in refusal(folder)
    folder = gemma_scope(tmp_path).folder
    np.savez_compressed(folder / "params.npz", W_enc=np.zeros((2000, 2000), np.float32))
    assert "W_enc.npy unpacks to" in refusal(folder)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_read_as_numpy_wrote_them(
    tmp_path: pathlib.Path, compressed: bool, order: str
) -> None:
    folder = gemma_scope(tmp_path).folder
    path, write = folder / "params.npz", np.savez_compressed if compressed else np.savez
    arrays = {key: tensor.numpy() for key, tensor in read_tensors(path).items()}
    before = load(folder).weights  # type: ignore[union-attr]
    write(path, **{key: np.asarray(array, order=order) for key, array in arrays.items()})  # type: ignore[call-overload]
    after = load(folder).weights  # type: ignore[union-attr]
    assert after.encoder.whole().equal(before.encoder.whole())
    assert after.decoder.whole().equal(before.decoder.whole())
    assert after.activation.threshold.equal(before.activation.threshold)


SETTINGS_THAT_LIE: dict[str, tuple[str, str, dict[str, object], str]] = {
    "sparsify, another nonlinearity": (
        "sparsify SAE", "cfg.json", {"activation": "groupmax"}, "activation is 'groupmax'"),
    "sparsify, by absolute value": ("sparsify SAE", "cfg.json", {"signed": True}, "signed is True"),
    "sparsify, another width": ("sparsify SAE", "cfg.json", {"d_in": 9}, "d_in is 9, expected 8"),
    "sparsify, k too large": ("sparsify SAE", "cfg.json", {"k": 25}, "k is 25"),
    "sparsify, no skip": (
        "sparsify skip transcoder", "cfg.json", {"skip_connection": False}, "W_skip"),
    "SAELens, unknown": (
        "SAELens standard", "cfg.json", {"architecture": "temporal"}, "'temporal', expected one of"),
    "SAELens, a TopK without k": ("SAELens topk", "cfg.json", {"k": None}, "k is None, expected"),
    "SAELens, norms in no file": (
        "SAELens standard", "cfg.json", {"normalize_activations": "expected_average_only_in"},
        "is in no file"),
    "SAELens, another norm": (
        "SAELens standard", "cfg.json", {"normalize_activations": "covariance_whitening"},
        "expected one of none, constant_norm_rescale, layer_norm"),
    "SAELens, unknown hook": (
        "SAELens standard", "cfg.json", {"metadata": {"hook_name": "blocks.3.hook_q"}},
        "the hook 'blocks.3.hook_q' is none that can be read; known are blocks.LAYER.NAME"),
    "SAELens, one head": (
        "SAELens standard", "cfg.json",
        {"metadata": {"hook_name": "blocks.3.attn.hook_z", "hook_head_index": 2}}, "hook_head_index"),
    "SAELens before 6, one head": (
        "SAELens before 6", "cfg.json", {"hook_point_head_index": 2}, "hook_point_head_index is 2"),
    "SAELens, a bias that fits nowhere": (
        "SAELens transcoder", "cfg.json", {"apply_b_dec_to_input": True}, "false for a transcoder"),
    "dictionary_learning, unknown": (
        "dictionary_learning AutoEncoder", "config.json", {"trainer": {"dict_class": "IdentityDict"}},
        "trainer.dict_class is 'IdentityDict'"),
    "Gemma Scope 2, a skip that is not there": (
        "Gemma Scope 2 SAE", "config.json", {"affine_connection": True}, "affine_connection is True"),
    "Llama Scope, a norm of 0": (
        "Llama Scope SAE", "hyperparams.json", {"dataset_average_activation_norm": {"in": 0, "out": 1}},
        "dataset_average_activation_norm.in is 0, expected a number above 0"),
    "Llama Scope, not a number": (
        "Llama Scope SAE", "hyperparams.json", {"jump_relu_threshold": float("nan")},
        "jump_relu_threshold is nan, expected a finite number"),
    "llamascopium, over a batch": (
        "llamascopium topk", "config.json", {"act_fn": "batchtopk"}, "act_fn is 'batchtopk'"),
    "llamascopium, another kind": (
        "llamascopium topk", "config.json", {"sae_type": "lorsa"}, "sae_type is 'lorsa'"),
}  # fmt: skip


@pytest.mark.parametrize("lie", SETTINGS_THAT_LIE)
def test_settings_that_do_not_fit_are_refused_with_the_value(
    tmp_path: pathlib.Path, lie: str
) -> None:
    case, name, changes, said = SETTINGS_THAT_LIE[lie]
    folder = CASES[case](tmp_path).folder
    settings = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(settings | changes))
    assert said in refusal(folder)


def test_a_threshold_that_was_never_set_is_refused(tmp_path: pathlib.Path) -> None:
    folder = CASES["dictionary_learning BatchTopKSAE"](tmp_path).folder
    state = torch.load(folder / "ae.pt", weights_only=True)
    torch.save(state | {"threshold": torch.tensor(-1.0)}, folder / "ae.pt")
    assert "training sets it after its first thousand steps" in refusal(folder)


def test_a_feature_without_a_decoder_cannot_be_measured_by_it(tmp_path: pathlib.Path) -> None:
    folder = CASES["SAELens topk by decoder norm"](tmp_path).folder
    path = folder / "sae_weights.safetensors"
    tensors = read_tensors(path)
    tensors["W_dec"][3] = 0
    path.write_bytes(as_bytes(tensors, path.suffix))
    assert "feature 3 has a decoder of norm 0" in refusal(folder)
