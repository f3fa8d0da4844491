"""Suite files as data: syntax errors, profiles and environment variables."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import SuiteError, UsageError
from harness.source import load


def problems(source):
    return [str(problem).removeprefix(str(source.path)) for problem in source.problems]


@pytest.mark.parametrize(("text", "place", "what"), [
    ('[suite]\nname = "a"\nname = "b"\n', ":3  ", "overwrite"),
    ('[suite]\nname = \n', ":2  ", "Invalid value (column 8)"),
    ('[suite]\n\n\nname "a"\n', ":4  ", "column 6"),
    ('[suite]\nname = "a\n', ":2  ", "column 10"),
    ('[suite]\nname = """a\n\n', ":3  ", "at the end of the file"),
    ('[suite', ":1  ", "at the end of the file"),
])
def test_syntax_errors_are_located(write, text, place, what):
    path = write(text)
    with pytest.raises(SuiteError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}{place}not valid TOML: ")
    assert what in str(caught.value)
    assert len(caught.value.problems) == 1


def test_a_file_that_is_not_there(tmp_path, write):
    write("")
    with pytest.raises(UsageError, match=r'siute\.toml: no such suite file; did you mean "suite\.toml"\?'):
        load(tmp_path / "siute.toml")
    with pytest.raises(UsageError, match="`harness init` writes a starter suite"):
        load(tmp_path / "no" / "folder.toml")


def test_a_file_that_can_not_be_read(tmp_path, write):
    with pytest.raises(UsageError, match="can not be read"):
        load(tmp_path)
    path = write("")
    path.write_bytes(b'name = "\xff"')
    with pytest.raises(UsageError, match="can not be read"):
        load(path)


PROFILES = """\
[datasets.figures]
count = 500
range = [1, 2, 3]
nested = { a = 1, b = 2 }
[[bench]]
models = ["a", "b"]
[[bench]]
models = ["c"]
[profiles.fast.datasets.figures]
count = 5
range = [9]
nested.b = 3
[profiles.fast.suite]
name = "new"
[[profiles.fast.bench]]
models = ["z",
          "y"]
[profiles.scalar]
datasets = 3
"""


def test_a_profile_overrides_nested_keys_and_replaces_arrays(write):
    source = load(write(PROFILES), "fast", {})
    assert source.data == {
        "datasets": {"figures": {"count": 5, "range": [9], "nested": {"a": 1, "b": 3}}},
        "bench": [{"models": ["z", "y"]}], "suite": {"name": "new"},
    }


def test_without_a_profile_they_are_left_out(write):
    expected = tomllib.loads(PROFILES)
    del expected["profiles"]
    assert load(write(PROFILES), None, {}).data == expected


@pytest.mark.parametrize(("path", "line", "original"), [
    (("datasets", "figures", "count"), 10, "profiles.fast.datasets.figures.count"),
    (("datasets", "figures", "range", 0), 11, "profiles.fast.datasets.figures.range[0]"),
    (("datasets", "figures", "nested", "b"), 12, "profiles.fast.datasets.figures.nested.b"),
    (("datasets", "figures", "nested", "a"), 4, "datasets.figures.nested.a"),
    (("suite", "name"), 14, "profiles.fast.suite.name"),
    (("bench", 0, "models", 1), 17, "profiles.fast.bench[0].models[1]"),
    (("datasets", "figures"), 1, "datasets.figures"),
])
def test_keys_of_a_profile_stand_at_their_own_line(write, path, line, original):
    source = load(write(PROFILES), "fast", {})
    assert source.line(path) == line
    source.problem(path, "wrong")
    assert problems(source) == [f":{line}  {original}: wrong"]


def test_a_profile_may_replace_a_table_by_a_value(write):
    source = load(write(PROFILES), "scalar", {})
    assert source.data["datasets"] == 3
    assert source.line(("datasets",)) == 19


@pytest.mark.parametrize(("text", "message"), [
    (PROFILES, ':9  profiles: there is no profile "fasst"; did you mean "fast"? (known: fast, scalar)'),
    ("[suite]\n", '  profiles: there is no profile "fasst" (known: none)'),
    ("profiles = 3\n", ':1  profiles: there is no profile "fasst" (known: none)'),
    ("[profiles]\nfasst = 1\nfast = {}\n", ':1  profiles: there is no profile "fasst"'),
])
def test_an_unknown_profile(write, text, message):
    path = write(text)
    with pytest.raises(SuiteError) as caught:
        load(path, "fasst", {})
    assert str(caught.value).startswith(f"{path}{message}")


@pytest.mark.parametrize(("text", "value"), [
    ("${HOME_}", "/home"),
    ("a/${HOME_}/${HOME_}b", "a//home//homeb"),
    ("${HOME_:-other}", "/home"),
    ("${UNSET:-other/${x}", "other/${x"),
    ("${UNSET:-}", ""),
    ("${EMPTY:-default}", "default"),
    ("$${HOME_}", "${HOME_}"),
    ("$$ $HOME_ $", "$$ $HOME_ $"),
    ("${DOLLAR}", "${HOME_}"),
])
def test_environment_variables(write, text, value):
    environ = {"HOME_": "/home", "EMPTY": "", "DOLLAR": "${HOME_}"}
    source = load(write(f"key = '{text}'\nlist = [{{ in = '{text}' }}]\n"), None, environ)
    assert problems(source) == []
    assert source.data == {"key": value, "list": [{"in": value}]}


@pytest.mark.parametrize("text", ["${}", "${NAME", "${1A}", "${A-B}", "${A:B}", "${ A }"])
def test_malformed_variables_are_located(write, text):
    source = load(write(f"[a]\nb = ['x',\n  '{text}']\n"), None, {"A": "1", "NAME": "2"})
    assert problems(source) == [
        ':3  a.b[1]: expected "${NAME}" or "${NAME:-default}"; write "$${" for a literal "${"']


def test_unset_variables_are_located_each(write):
    source = load(write('[a]\nb = "${ONE}/${TWO}"\n[profiles.p.a]\nb = "${THREE}"\n'), None, {})
    assert [text.split(" is not set")[0] for text in problems(source)] == [
        f":2  a.b: the environment variable {name}" for name in ("ONE", "TWO")]
    assert '"${ONE:-default}"' in problems(source)[0]


def test_an_empty_variable_is_no_value(write):
    (problem,) = problems(load(write('a = "${ONE}/data"\n'), None, {"ONE": ""}))
    assert problem == ':1  a: the environment variable ONE is empty; set it, or give a default: "${ONE:-default}"'


def test_variables_of_the_chosen_profile_alone_are_needed(write):
    text = '[a]\nb = "${ONE}"\n[profiles.p.a]\nb = "${THREE}"\n'
    assert problems(load(write(text), "p", {"THREE": "3"})) == []
    (problem,) = problems(load(write(text), "p", {"ONE": "1"}))
    assert problem.startswith(":4  profiles.p.a.b: the environment variable THREE is not set")


@given(st.text(st.characters(exclude_characters="'\n\r$", exclude_categories=["Cs", "Cc"])))
def test_text_without_a_dollar_is_left_alone(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("suite") / "suite.toml"
    path.write_text(f"key = '{text}'\n", encoding="utf-8")
    assert load(path, None, {}).data == {"key": text}


@given(st.text(st.characters(exclude_characters="'\n\r", exclude_categories=["Cs", "Cc"])))
def test_escaping_every_reference_gives_the_text_back(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("suite") / "suite.toml"
    path.write_text(f"key = '{text.replace('${', '$${')}'\n", encoding="utf-8")
    source = load(path, None, {})
    assert (source.data, source.problems) == ({"key": text}, [])
