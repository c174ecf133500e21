"""ONNX files, anybody's and ours: what they are told by, what they say of themselves, how they are used."""

import os
import signal
from collections import Counter

import numpy as np
import pytest
import torch
from at_once import at_once
from PIL import Image

import sr
from sr.deploy.tiles import enlarge
from sr.errors import UserError
from sr.memory import give_back_freed_memory
from sr.zoo import onnx_file
from sr.zoo.onnx_file import session

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
helper = onnx.helper
FREE = {"x": ["n", 3, "h", "w"], "y": ["n", 3, "H", "W"]}


def made(path, *nodes, sides=FREE, **facts):
    """A file of operations from x to y, with constants for a factor of 2 and for a half."""
    ends = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in sides.items()]
    known = [helper.make_tensor("twice", onnx.TensorProto.FLOAT, [4], [1, 1, 2, 2])]
    known += [helper.make_tensor("half", onnx.TensorProto.FLOAT, [1], [0.5])]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], initializer=known)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {f"sr.{key}": value for key, value in facts.items()})
    onnx.save(model, path)
    return path


def resized(mode, to="y"):
    return helper.make_node("Resize", ["x", "", "twice"], [to], mode=mode)


SAME = helper.make_node("Identity", ["x"], ["y"])
DARK = helper.make_node("Sub", ["x", "x"], ["y"])


def test_a_file_that_is_too_large_or_none_is_not_read(tmp_path):
    (large := tmp_path / "large.onnx").touch()
    os.truncate(large, 6 << 30)
    os.mkfifo(tmp_path / "pipe.onnx")
    for file, told in (large, "6,442,450,944 bytes"), (tmp_path / "pipe.onnx", "a named pipe"):
        with at_once(), pytest.raises(UserError, match=told):
            session(file)


def test_a_stranger_s_file_is_looked_at(tmp_path):
    assert sr.load(made(tmp_path / "same.onnx", SAME)).scales == (1,)
    with pytest.raises(UserError, match="sides of any length"):
        sr.load(made(tmp_path / "fixed.onnx", SAME, sides={key: [1, 3, 8, 8] for key in "xy"}))
    flat = made(tmp_path / "flat.onnx", helper.make_node("Flatten", ["x"], ["y"]), sides=FREE | {"y": ["n", "m"]})
    with pytest.raises(UserError, match="is no network on images"):
        sr.load(flat)
    (tmp_path / "text.onnx").write_text("not ONNX")
    with pytest.raises(UserError, match="cannot be read as ONNX"):
        sr.load(tmp_path / "text.onnx")
    with pytest.raises(UserError, match="is refused"):
        sr.load(made(tmp_path / "dark.onnx", DARK))


def test_what_a_file_says_of_itself_is_not_believed(tmp_path):
    for told in ("\u00b2", "9" * 5000, "60000", "0", "-1", ""):
        with pytest.raises(UserError, match="that is no number from 1 to 256"):
            sr.load(made(tmp_path / "a.onnx", resized("linear"), smallest_side=told))
    claiming = sr.load(made(tmp_path / "a.onnx", resized("nearest"), architecture="RLFN", smallest_side="30"))
    assert claiming.name == "a (unproved)" and claiming.model.min_size == 30
    # One's own that nobody trained, too: it is used as it is, in its own range.
    assert sr.load(made(tmp_path / "dark.onnx", DARK, architecture="RLFN")).model.reads is None


def test_no_file_is_called_as_the_baseline(tmp_path):
    for name in ("bicubic.onnx", "net+.onnx"):
        assert sr.load(made(tmp_path / name, SAME)).name.removesuffix(" (unproved)") == name
    with pytest.raises(UserError, match="Rename the file"):
        sr.load(made(tmp_path / "a\nb.onnx", SAME))


def test_it_stands_in_a_comparison(command, tmp_path):
    file = made(tmp_path / "a.onnx", resized("nearest"), architecture="A")
    done = command(
        "compare.py", f"weights=[{file}]", "benchmarks=[bundled]", "metrics=[psnr]", "protocols=[y]", "crops=0"
    )
    assert done.code == 0 and "what a (unproved) costs is not known" in done.out + done.err, done
    row = next(
        line for line in (done.folder / "table.md").read_text().splitlines() if line.startswith("| a (unproved)")
    )
    assert 20 < float(row.split("|")[2]) < 40


def test_any_factor_is_tried(tmp_path):
    node = helper.make_node("Resize", ["x", "", "seven"], ["y"], mode="linear")
    seven = helper.make_node("Constant", [], ["seven"], value_floats=[1.0, 1.0, 7.0, 7.0])
    assert sr.load(made(tmp_path / "a.onnx", seven, node)).scales == (7,)


def test_two_files_are_two_networks(command, tmp_path):
    """In the folder of one's results those of the other are not there already."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    made(tmp_path / "a.onnx", resized("nearest"), architecture="A")
    made(tmp_path / "b.onnx", resized("nearest", "z"), helper.make_node("Mul", ["z", "half"], ["y"]), architecture="A")
    words = [f"input={tmp_path / 'p.png'}", f"output={tmp_path / 'out'}"]
    typed = (["a"], ["a"], ["b"], ["b", "overwrite=true"], ["b", "overwrite=true", "zoo.range=0-255"])
    ends = [command("upscale.py", f"model={tmp_path / one}.onnx", *rest, *words) for one, *rest in typed]
    assert [end.code for end in ends] == [0, 0, 1, 0, 0], ends
    assert "made by another network" in ends[2].err and "1/1" in ends[4].err + ends[4].out, ends
    found = np.asarray(Image.open(tmp_path / "out/p_x2.png")).astype(int)
    assert np.abs(found[::2, ::2] - pixels / 2).max() <= 1


def test_a_file_is_given_pictures_whole_and_is_not_exported(command, tmp_path, caplog):
    model = sr.load(made(tmp_path / "a.onnx", resized("nearest"), architecture="A"))
    lr = torch.rand(1, 3, 20, 30)
    for _ in range(2):
        found = enlarge(model.model, lr, tile=16)
    torch.testing.assert_close(found, lr.repeat_interleave(2, 2).repeat_interleave(2, 3))
    told = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(told) == 1 and "a.onnx is given each picture whole" in told[0]
    outcome = command("export.py", f"model={tmp_path / 'a.onnx'}", "formats=safetensors")
    assert outcome.code == 1 and "is an ONNX file already" in outcome.err, outcome


def test_a_file_that_cuts_larger_pictures_is_refused_with_no_pixel_written(tmp_path):
    """Rows that it does not make were whatever lay in memory."""
    known = [
        helper.make_node("Constant", [], [n], value_ints=v) for n, v in (("top", [0]), ("end", [300]), ("axis", [2]))
    ]
    cut = helper.make_node("Slice", ["large", "top", "end", "axis"], ["y"])
    enlarger = sr.load(made(tmp_path / "cut.onnx", *known, resized("linear", "large"), cut))
    Image.new("RGB", (20, 200)).save(tmp_path / "tall.png")
    with pytest.raises(UserError, match=r"makes \(1, 3, 300, 40\) of \(1, 3, 200, 20\), not \(1, 3, 400, 40\)"):
        enlarger(tmp_path / "tall.png")
    assert not (tmp_path / "tall_x2.png").exists()
    known[1] = helper.make_node("Constant", [], ["end"], value_ints=[66])  # less than the photo that it is tried on
    with pytest.raises(UserError, match=r"cut\.onnx makes"):
        sr.load(made(tmp_path / "cut.onnx", *known, resized("linear", "large"), cut))


def test_what_may_run_for_ever_or_draws_numbers_is_refused_before_it_runs(tmp_path):
    """A file of a few hundred bytes with a loop of 10^17 turns once kept sr.load busy for ever."""
    keep = [helper.make_node("Identity", ["more"], ["on"]), helper.make_node("Identity", ["kept"], ["next"])]
    flag = [helper.make_tensor_value_info(n, onnx.TensorProto.BOOL, []) for n in ("more", "on")]
    kept = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["n", 3, "h", "w"]) for n in ("kept", "next")]
    turn = helper.make_tensor_value_info("turn", onnx.TensorProto.INT64, [])
    body = helper.make_graph(keep, "body", [turn, flag[0], kept[0]], [flag[1], kept[1]])
    turns = helper.make_node("Constant", [], ["turns"], value_int=10**17)
    loop = helper.make_node("Loop", ["turns", "", "x"], ["y"], body=body)
    with pytest.raises(UserError, match=r"loop\.onnx holds a Loop, which may run for ever"):
        sr.load(made(tmp_path / "loop.onnx", turns, loop))
    hidden = helper.make_graph([turns, helper.make_node("Loop", ["turns", "", "x"], ["z"], body=body)], "then", [],
                               [helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, None)])  # fmt: skip
    yes = helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("v", onnx.TensorProto.BOOL, [], [True]))
    branch = helper.make_node("If", ["yes"], ["y"], then_branch=hidden, else_branch=hidden)
    with pytest.raises(UserError, match="holds a Loop"):
        sr.load(made(tmp_path / "hidden.onnx", yes, branch))
    noise = helper.make_node("RandomUniformLike", ["x"], ["r"])
    with pytest.raises(UserError, match=r"draws random numbers \(RandomUniformLike\)"):
        sr.load(made(tmp_path / "noise.onnx", noise, helper.make_node("Add", ["x", "r"], ["y"])))
    on = helper.make_node("Constant", [], ["on"], value=helper.make_tensor("v", onnx.TensorProto.BOOL, [], [True]))
    share = helper.make_node("Constant", [], ["share"], value_float=0.02)
    with pytest.raises(UserError, match="draws random numbers"):
        sr.load(made(tmp_path / "drop.onnx", on, share, helper.make_node("Dropout", ["x", "share", "on"], ["y"])))
    whole = made(tmp_path / "same.onnx", SAME).read_bytes()
    for n in range(0, len(whole), 7):  # cut anywhere
        (tmp_path / "cut.onnx").write_bytes(whole[:n])
        with pytest.raises(UserError):
            sr.load(tmp_path / "cut.onnx")


def test_functions_that_call_each_other_twice_are_counted_as_they_are_written_out(tmp_path):
    """26 functions in 2 kB, and 2^25 operators once ONNX Runtime has put them in."""
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    functions = [helper.make_function("own", "f0", ["x"], ["y"], [helper.make_node("Identity", ["x"], ["y"])], imports)]
    for n in range(1, 26):
        twice = [helper.make_node(f"f{n - 1}", [a], [b], domain="own") for a, b in (("x", "z"), ("z", "y"))]
        functions.append(helper.make_function("own", f"f{n}", ["x"], ["y"], twice, imports))
    model = onnx.load(made(tmp_path / "bomb.onnx", helper.make_node("f25", ["x"], ["y"], domain="own")))
    model.functions.extend(functions)
    onnx.save(model, tmp_path / "bomb.onnx")
    with pytest.raises(UserError, match="more than 1,000,000 operators"):
        sr.load(tmp_path / "bomb.onnx")


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value):
    return (bytes([value & 127 | 128]) + varint(value >> 7)) if value > 127 else bytes([value])


def test_what_is_looked_at_is_what_runs(tmp_path):
    """A file was read otherwise than ONNX Runtime reads it, which then drew numbers."""

    def parts(*nodes):
        model = onnx.load(made(tmp_path / "a.onnx", *nodes))
        graph = model.graph.SerializeToString()
        model.ClearField("graph")
        return model.SerializeToString(), graph

    noise = helper.make_node("RandomUniformLike", ["x"], ["r"])
    node = noise.SerializeToString()
    head, graph = parts(noise, helper.make_node("Add", ["x", "r"], ["y"]))
    renamed = graph.replace(field(1, node), field(1, field(4, b"Identity") + node))
    higher = varint((7 << 3 | 2) + 2**33) + varint(len(graph)) + graph  # of whose number 32 bits are read
    own = field(25, field(1, b"Harmless") + field(1, b"Own") + field(7, field(4, b"Own")))
    called = field(7, parts(helper.make_node("Own", ["x"], ["y"]))[1])
    for content, told in (
        (field(7, renamed), "draws random numbers"),
        (higher, "no protocol buffer's"),
        (own + called, "calls itself"),
    ):
        (tmp_path / "b.onnx").write_bytes(head + content)
        with pytest.raises(UserError, match=told):
            sr.load(tmp_path / "b.onnx")


def test_no_value_comes_from_another_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_bytes(np.float32([0.25]).tobytes())
    add = helper.make_node("Add", ["up", "other"], ["y"])
    path = made(tmp_path / "a.onnx", resized("nearest", "up"), add)
    outside = helper.make_tensor("other", onnx.TensorProto.FLOAT, [1], [0])
    outside.ClearField("float_data")
    outside.data_location = onnx.TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="secret")
    listed = helper.make_sparse_tensor(outside, helper.make_tensor("where", onnx.TensorProto.INT64, [1], [0]), [1])
    inner = helper.make_graph([SAME], "inner", [], [], initializer=[outside])
    attributes = [{"value": outside}, {"sparse_value": listed}, {"then_branch": inner}]
    for number in range(6):
        model = onnx.load(path)
        if number < 3:
            model.graph.node.append(helper.make_node("Constant", [], ["other"], **attributes[number]))
        elif number == 3:
            model.graph.initializer.append(outside)
        elif number == 4:
            model.graph.sparse_initializer.append(listed)
        else:
            model.functions.add(name="F", domain="own").attribute_proto.append(helper.make_attribute("a", outside))
        (tmp_path / "b.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(UserError, match=r"takes values from another file.* python -P -c"):
            sr.load(tmp_path / "b.onnx")


def test_a_small_file_that_asks_for_much_is_refused(tmp_path, monkeypatch):
    """By its constants, which ONNX Runtime computes as it opens a file."""
    constant = helper.make_node("ConstantOfShape", ["many"], ["ones"])
    mean = helper.make_node("ReduceMean", ["ones"], ["zero"], keepdims=0)
    nodes = [resized("nearest", "up"), constant, mean, helper.make_node("Add", ["up", "zero"], ["y"])]
    model = onnx.load(made(tmp_path / "a.onnx", *nodes))
    model.graph.initializer.append(helper.make_tensor("many", onnx.TensorProto.INT64, [1], [2_000_000_000]))
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(UserError, match=r"does not run on LR .*(alloc|memory)"):
        sr.load(tmp_path / "a.onnx")
    multiply = [helper.make_node("MatMul", [f"m{n}", "m0"], [f"m{n + 1}"]) for n in range(400)]
    square = helper.make_node("ConstantOfShape", ["side"], ["m0"])
    last = [
        helper.make_node("ReduceMean", ["m400"], ["zero"], keepdims=0),
        helper.make_node("Add", ["up", "zero"], ["y"]),
    ]
    model = onnx.load(made(tmp_path / "b.onnx", resized("nearest", "up"), square, *multiply, *last))
    model.graph.initializer.append(helper.make_tensor("side", onnx.TensorProto.INT64, [2], [2000, 2000]))
    onnx.save(model, tmp_path / "b.onnx")
    monkeypatch.setattr("sr.zoo.onnx_file.SECONDS", 0.5)
    with pytest.raises(UserError, match=r"takes more than 0.5 s"):
        sr.load(tmp_path / "b.onnx")
    former = signal.signal(signal.SIGALRM, signal.default_int_handler)  # as Ctrl-C, which may be ignored here
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):  # which was not heard until all was computed
            onnx_file.run(session(tmp_path / "b.onnx", as_it_is=True), torch.rand(1, 3, 8, 9), "b")
    finally:
        signal.signal(signal.SIGALRM, former)


def test_a_branch_that_is_never_taken_is_not_computed_either(tmp_path):
    """As ONNX Runtime opened a file of 1 kB it computed what such a branch makes of constants, for hours."""
    square = helper.make_node("ConstantOfShape", ["side"], ["m0"])
    multiply = [helper.make_node("MatMul", [f"m{n}", "m0"], [f"m{n + 1}"]) for n in range(400)]
    ends = [helper.make_node("ReduceMean", ["m400"], ["mean"], keepdims=0)]
    ends += [helper.make_node("Add", ["up", "mean"], ["made"])]
    given = helper.make_tensor_value_info("made", onnx.TensorProto.FLOAT, None)
    branches = {
        "then_branch": helper.make_graph([square, *multiply, *ends], "then", [], [given]),
        "else_branch": helper.make_graph([helper.make_node("Identity", ["up"], ["made"])], "else", [], [given]),
    }
    asked = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Greater", ["most", "large"], ["is_large"]),
    ]
    nodes = [resized("nearest", "up"), *asked, helper.make_node("If", ["is_large"], ["y"], **branches)]
    model = onnx.load(made(tmp_path / "a.onnx", *nodes))
    model.graph.initializer.append(helper.make_tensor("side", onnx.TensorProto.INT64, [2], [2000, 2000]))
    model.graph.initializer.append(helper.make_tensor("large", onnx.TensorProto.FLOAT, [], [1e9]))
    onnx.save(model, tmp_path / "a.onnx")
    with at_once(15):
        assert sr.load(tmp_path / "a.onnx").scales == (2,)


@pytest.mark.parametrize("told", [None, 1000])
def test_memory_that_grows_with_the_square_of_a_picture_is_bounded(told, tmp_path, monkeypatch):
    """It took 15 GB for a picture of 240x240, and the system ended whatever else was running."""
    small = helper.make_node("MaxPool", ["x"], ["small"], kernel_shape=[4, 4], strides=[4, 4])
    column = helper.make_node("Reshape", ["small", "shape"], ["column"])
    row = helper.make_node("Transpose", ["column"], ["row"], perm=[0, 2, 1])
    product = helper.make_node("MatMul", ["column", "row"], ["product"])
    last = [
        helper.make_node("ReduceMin", ["product"], ["least"], keepdims=0),
        helper.make_node("Sub", ["least", "least"], ["zero"]),
        helper.make_node("Add", ["up", "zero"], ["y"]),
    ]
    model = onnx.load(made(tmp_path / "a.onnx", resized("nearest", "up"), small, column, row, product, *last))
    model.graph.initializer.append(helper.make_tensor("shape", onnx.TensorProto.INT64, [3], [1, -1, 1]))
    if told:
        helper.set_model_props(model, {"sr.receptive_radius": "4", "sr.bytes_per_pixel": str(told)})
    onnx.save(model, tmp_path / "a.onnx")
    enlarger = sr.load(tmp_path / "a.onnx")
    give_back_freed_memory()  # of earlier tests, in which it would find room
    few = 2**26
    monkeypatch.setattr("sr.zoo.onnx_file.free_ram", lambda: 2**40 if told else few)
    monkeypatch.setattr("sr.zoo.onnx_file.MEMORY", few)
    assert enlarger.model(torch.zeros(1, 3, 24, 24)).shape == (1, 3, 48, 48)
    with pytest.raises(UserError, match=r"does not run on LR .*(alloc|memory)"):
        enlarger.model(torch.zeros(1, 3, 240, 240))


def test_no_other_format_is_read_as_onnx(tmp_path, monkeypatch):
    """ONNX Runtime tells its own format by four bytes, which can stand in a file that passes for ONNX."""
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "b.onnx"), 4
    options.add_session_config_entry("session.save_model_format", "ORT")
    runtime.InferenceSession(str(made(tmp_path / "a.onnx", SAME)), options, providers=["CPUExecutionProvider"])
    monkeypatch.setattr("sr.zoo.onnx_file.refuse_endless", lambda *_: Counter())
    with pytest.raises(UserError, match="cannot be read as ONNX"):
        sr.load(tmp_path / "b.onnx")
