"""Which value of a knob is in force, and what is said about one that cannot be."""

from pathlib import Path

import pytest

from trainer.config import SettingsError, read_config, read_run

RUN = {"SEED": "1", "ITERATIONS": "4", "SIZE": "tiny", "MAX_WALLCLOCK_SECONDS": "60"}


def test_the_environment_wins_over_the_size_and_the_size_over_the_default() -> None:
    assert read_config({}, "golf").model_dim == 512
    assert read_config({}, "tiny").model_dim == 128
    assert read_config({"MODEL_DIM": "64"}, "tiny").model_dim == 64


def test_a_value_takes_the_type_of_the_default() -> None:
    config = read_config({"GRAD_CLIP_NORM": "1", "KEEP_FLOAT_NAMES": "c_k,c_v", "MUON_BACKEND_STEPS": "4"}, "tiny")
    assert (config.grad_clip_norm, config.keep_float_names, config.muon_backend_steps) == (1.0, "c_k,c_v", 4)
    assert type(config.grad_clip_norm) is float


def test_other_variables_are_none_of_its_business() -> None:
    assert read_config({"PATH": "/bin", "BETA9": "1"}, "tiny") == read_config({}, "tiny")


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"MUON_BACKEND_STEPS": "4.5"}, "MUON_BACKEND_STEPS is '4.5': it must be of type int"),
        ({"BETA2": "high"}, "BETA2 is 'high': it must be of type float"),
        ({"MATRIX_LR": "nan"}, "MATRIX_LR is 'nan': it must be finite"),
        ({"NUM_HEADS": "3"}, "MODEL_DIM 128 is not a multiple of NUM_HEADS 3: set NUM_HEADS = 2"),
        ({"NUM_KV_HEADS": "3"}, "NUM_HEADS 4 is not a multiple of NUM_KV_HEADS 3: set NUM_KV_HEADS = 2"),
        ({"MODEL_DIM": "60", "NUM_HEADS": "4"}, "MODEL_DIM / NUM_HEADS is odd .*: set MODEL_DIM = 64"),
        ({"TRAIN_BATCH_TOKENS": "128"}, "must each hold a window of TRAIN_SEQ_LEN 256: set both to 256 or more"),
        ({"LOOP_START": "2", "LOOP_END": "1"}, "0 <= LOOP_START <= LOOP_END <= 3"),
        ({"LOOP_END": "4"}, "0 <= LOOP_START <= LOOP_END <= 3"),
        ({"NUM_LOOPS": "-1"}, "NUM_LOOPS >= 0"),
        ({"QAT_FRAC": "1.1"}, r"QAT_FRAC must lie in \[0, 1\]"),
        ({"EMA_DECAY": "1"}, r"EMA_DECAY must lie in \[0, 1\)"),
        ({"QUANT_BITS": "7"}, "QUANT_BITS is 7: set it to 8 or 6"),
        ({"NUM_LAYERS": "0"}, "NUM_LAYERS must be at least 1"),
        ({"NUM_HEADS": "0"}, "NUM_HEADS must be at least 1"),
        ({"BETA2": "1.0"}, r"BETA1 and BETA2 must lie in \[0, 1\)"),
        ({"LOGIT_SOFTCAP": "100"}, "LOGIT_SOFTCAP must lie above 0"),
        ({"WARMDOWN_FRAC": "1.5"}, "WARMDOWN_FRAC must lie in"),
        ({"INT8_CLIP_PERCENTILE": "101"}, "INT8_CLIP_PERCENTILE must lie in"),
        ({"ZSTD_LEVEL": "23"}, "ZSTD_LEVEL must lie between 1 and 22"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_one_line(knobs: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refusal:
        read_config(knobs, "tiny")
    assert "\n" not in str(refusal.value)


def test_an_unknown_size_names_those_there_are() -> None:
    with pytest.raises(SettingsError, match="SIZE is 'huge': the sizes are tiny, small, golf"):
        read_config({}, "huge")


@pytest.mark.parametrize("name", ["DATA_DIR", "RUN_DIR", *RUN])
def test_a_run_without_one_of_its_variables_names_it(name: str, tmp_path: Path) -> None:
    environ = {"DATA_DIR": str(tmp_path), "RUN_DIR": str(tmp_path)} | RUN
    assert read_run(environ).iterations == 4
    del environ[name]
    with pytest.raises(SettingsError, match=f"{name} is not set"):
        read_run(environ)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ITERATIONS", "0"), ("SEED", "-1"), ("SEED", "x"), ("MAX_WALLCLOCK_SECONDS", "0"), ("RUN_DIR", "nowhere")],
)
def test_a_run_that_cannot_be_is_refused(name: str, value: str, tmp_path: Path) -> None:
    environ = {"DATA_DIR": str(tmp_path), "RUN_DIR": str(tmp_path)} | RUN | {name: value}
    with pytest.raises(SettingsError, match=name):
        read_run(environ)
