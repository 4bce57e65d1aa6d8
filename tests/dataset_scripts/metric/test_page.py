import importlib
import re
import sys
from collections import defaultdict

import matplotlib
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from speecheq.dataset_scripts.corpora.records import CorpusError
from speecheq.dataset_scripts.metric import figures as metric_figures
from speecheq.dataset_scripts.metric import page as metric_page
from speecheq.dataset_scripts.metric import table as metric
from speecheq.dataset_scripts.metric.figures import Band, Distribution

TABLE = """corpus,field,native,esc,eis,source
zeta,label,A,angry,level,"readme of zeta, codes: anger; levels as acted"
zeta,label,J,happy|excited,level,"readme of zeta, codes: joy; levels as acted"
zeta,label,C|W,calm,,"readme of zeta, codes: calm or warm"
zeta,label,X,,,"readme of zeta, codes: no agreement"
zeta,label,N,neutral,0,"readme of zeta, codes: neutral"
zeta,level,weak,,0.125..0.625,"readme of zeta, levels"
zeta,level,loud,,0.625..1,"readme of zeta, levels"
alpha,label,ang,angry,rated,paper of alpha
alpha,label,mad,angry,rated,paper of alpha
alpha,label,sad,sad,rated,paper of alpha
alpha,level,LO,,0.125..0.375,paper of alpha
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return metric.read_table(path)


@pytest.fixture
def seqd(tmp_path):
    """Write five rated utterances in two files, one without a rating, one whose label needs none, and a partial build."""
    low = [0.0, 0.2, 0.4, 0.6, 1.0, None, 0.9]
    columns = {"corpus": ["alpha"] * 6 + ["zeta"], "native_label": ["ang", "sad"] * 3 + ["N"], "eis_low": low}
    rows = pa.table({**columns, "eis_high": low, "audio": [b"not read"] * 7})
    folder = tmp_path / "seqd"
    for name, part in [("alpha/train", rows[:2]), ("alpha/test", rows[2:]), (".alpha.partial/train", rows)]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(part, folder / f"{name}.parquet")
    return folder


def shown(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def placed_texts(axes) -> dict[str, list[tuple[float, float]]]:
    found = defaultdict(list)
    for text in axes.texts:
        found[text.get_text()].append(text.get_position())
    return found


def labels_of(table, corpus):
    return metric_figures.by_corpus(table, "label")[corpus]


def levels_of(table, corpus):
    return metric_figures.by_corpus(table, "level")[corpus]


def test_the_committed_page_is_what_the_command_writes_now(tmp_path):
    folder = metric.TABLE.parent

    metric_page.main(["--out", str(tmp_path)])

    assert (folder / "METRIC.md").read_text(encoding="utf-8") == (tmp_path / "METRIC.md").read_text(encoding="utf-8")
    for name in ("classes.svg", "intensity.svg"):
        committed, now = ((place / name).read_text(encoding="utf-8") for place in (folder, tmp_path))
        assert shown(committed) == shown(now)
        if f"Matplotlib v{matplotlib.__version__}," in committed:  # other versions may place marks differently
            assert committed == now


def test_the_page_holds_every_native_name_of_the_table():
    table = metric.read_table()

    page = metric_page.page(table)

    sections = dict(zip(*[iter(re.split(r"^### (\w+)$", page, flags=re.M)[1:])] * 2, strict=True))
    assert list(sections) == sorted({row.corpus for row in table.values()})
    for row in table.values():
        assert f"`{row.native}`".replace("|", "\\|") in sections[row.corpus]


def test_a_section_maps_labels_to_all_scales_and_cites_its_source_once(table):
    section = metric_page.page(table).partition("### zeta\n")[2]

    assert (
        section
        == """
Source: readme of zeta, codes; readme of zeta, levels; levels as acted

| native label | fine classes | basic | valence | intensity |
|---|---|---|---|---|
| `A` (anger) | angry | angry | negative | of the level |
| `J` (joy) | happy or excited | happy | positive | of the level |
| `C\\|W` (calm or warm) | calm | neutral | neutral | *missing* |
| `X` (no agreement) | *missing* |  |  | *missing* |
| `N` | neutral | neutral | neutral | 0 |

| native level | intensity |
|---|---|
| `weak` | 0.125 to 0.625 |
| `loud` | 0.625 to 1 |
"""
    )


def test_labels_of_the_same_meaning_stand_in_one_line(table):
    assert "| `ang`, `mad` | angry | angry | negative | rated by listeners |" in metric_page.page(table)


def test_the_overview_counts_labels_levels_and_what_is_missing(table):
    page = metric_page.page(table)

    assert "2 corpora,\n8 native labels, 3 native levels." in page
    assert "| [alpha](#alpha) | 3 |  | 1 | rated by listeners |" in page
    assert "| [zeta](#zeta) | 5 | 1 | 2 | of the level; the label |" in page


def test_the_class_lists_are_those_of_the_configuration(table):
    page = metric_page.page(table)

    assert "| angry, frustrated | angry | negative |" in page
    assert "| surprise | surprise | ambiguous |" in page
    assert "none 0, low 0.25, moderate 0.5, high 0.75, extreme 1." in page


def test_the_classes_figure_marks_classes_sets_and_missing_in_the_row_of_the_corpus(table):
    axes = metric_figures.classes_figure(table).axes[0]
    texts, rows = placed_texts(axes), {"alpha": 0, "zeta": 1}
    columns = {
        name: next(x for x, y in texts[name] if y == -1) for name in ("angry", "sad", "calm", "happy", "excited")
    }

    marks = {tuple(map(tuple, line.get_xydata())) for line in axes.lines if line.get_marker() != "None"}

    assert [(texts[name][0][1], row) for name, row in rows.items()] == [(0, 0), (1, 1)]
    assert {((columns["angry"], 0.0),), ((columns["sad"], 0.0),), ((columns["calm"], 1.0),)} <= marks
    assert ((columns["happy"], 1.0), (columns["excited"], 1.0)) in marks
    assert texts["2"] == [(columns["angry"], 0)]  # two labels of alpha mean angry
    assert [y for _, y in texts["1"]] == [1]  # one label of zeta means no class
    assert {text.get_text() for text in axes.get_legend().get_texts()} >= {"a label means one of these"}


def test_the_classes_figure_stands_under_the_basic_and_valence_classes(table):
    texts = placed_texts(metric_figures.classes_figure(table).axes[0])

    assert [text for text, places in texts.items() if places[0][1] == -3] == [
        "valence (4)", "negative", "neutral", "ambiguous", "positive",
    ]  # fmt: skip
    assert [text for text, places in texts.items() if -2 in {y for _, y in places}] == [
        "basic (7)", "neutral", "angry", "disgust", "fear", "sad", "surprise", "happy",
    ]  # fmt: skip
    assert texts["frustrated"][0][0] == 1.0


def test_a_set_has_a_line_of_its_own_only_where_marks_would_cover_one_another(tmp_path):
    path = tmp_path / "table.csv"
    sets = ["happy", "neutral|surprise", "happy|excited", "surprise|happy", "angry|frustrated"]
    path.write_text("corpus,field,native,esc,eis,source\n" + "".join(f"x,label,{esc},{esc},,s\n" for esc in sets))

    lines = metric_figures.class_lines(list(metric.read_table(path).values()))

    assert lines == {
        ("happy",): 0,
        ("neutral", "surprise"): 0,
        ("happy", "excited"): 1,
        ("surprise", "happy"): 2,
        ("angry", "frustrated"): 0,
    }


def test_the_lines_of_a_corpus_push_the_next_one_down(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(
        "corpus,field,native,esc,eis,source\nx,label,h,happy,,s\nx,label,j,happy|excited,,s\ny,label,a,angry,,s\n"
    )

    axes = metric_figures.classes_figure(metric.read_table(path)).axes[0]

    texts, marks = placed_texts(axes), [line for line in axes.lines if line.get_marker() == "o"]
    assert (texts["x"][0][1], texts["y"][0][1]) == (0, 2)
    assert [list(line.get_ydata()) for line in marks] == [[0], [1, 1], [2]]


def test_a_label_a_level_and_a_rule_are_drawn_as_what_they_are(table):
    zeta = metric_figures.bands(labels_of(table, "zeta"), levels_of(table, "zeta"), {})
    alpha = metric_figures.bands(labels_of(table, "alpha"), levels_of(table, "alpha"), {})

    assert zeta == [
        Band(0.0, 0.0, "N", "label"),
        Band(0.125, 0.625, "weak", "level"),
        Band(0.625, 1.0, "loud", "level"),
    ]
    assert [band.mark for band in zeta] == ["point", "level", "level"]
    assert alpha == [Band(0.0, 1.0, "rated by listeners", "rule"), Band(0.125, 0.375, "LO", "unused")]


def test_bands_share_a_lane_only_where_they_and_their_texts_leave_room(table):
    point, wide = Band(0, 0, "N", "label"), Band(0, 0, "a name of some length", "label")
    level, rule = Band(0.125, 1, "weak", "level"), Band(0, 1, "rated", "rule")

    assert metric_figures.lanes([level, point]) == [[point, level]]
    assert metric_figures.lanes([level, wide]) == [[wide], [level]]
    assert metric_figures.lanes([rule, point]) == [[point], [rule]]


def test_long_lists_of_names_are_cut_with_their_number():
    assert metric_figures.names(["a", "b", "c", "d"]) == "a, b, c, d"
    assert metric_figures.names(["a", "b", "c", "d", "e", "f"]) == "a, b, c, d +2"


def test_intensities_from_ratings_are_measured_in_a_built_seqd(table, seqd):
    assert metric_page.measure(seqd, table) == {("alpha", "rated"): Distribution(0.0, 0.2, 0.4, 0.6, 1.0, 5)}


def test_a_measured_rule_is_drawn_and_tabulated_with_its_number(table, seqd):
    measured = metric_page.measure(seqd, table)

    texts = shown(metric_figures.svg(metric_figures.intensity_figure(table, measured)))
    page = metric_page.page(table, measured)

    assert "n = 5" in texts and "rated by listeners" not in texts
    assert "| alpha | rated by listeners | 5 | 0.00 | 0.20 | 0.40 | 0.60 | 1.00 |\n" in page


def test_the_intensity_figure_places_levels_and_rules_on_one_axis(table):
    texts = placed_texts(metric_figures.intensity_figure(table).axes[0])

    assert {name: texts[name][0][0] for name in ("none", "low", "moderate", "high", "extreme")} == {
        "none": 0, "low": 0.25, "moderate": 0.5, "high": 0.75, "extreme": 1,
    }  # fmt: skip
    assert texts["LO"] == [(0.25, 0)] and texts["rated by listeners"] == [(0.5, 1)]
    assert texts["weak"] == [(0.375, 2)] and texts["loud"] == [(0.8125, 2)]


def test_the_intensity_figure_says_how_many_labels_have_none(table):
    texts = placed_texts(metric_figures.intensity_figure(table).axes[0])

    assert texts["2 of 5"][0][1] == texts["zeta"][0][1] == 2


def test_a_folder_without_parquet_is_refused(table, tmp_path, capsys):
    with pytest.raises(CorpusError, match=r"metric_page: --seqd must hold Parquet files; got none in .*Build SEQD"):
        metric_page.measure(tmp_path, table)
    with pytest.raises(SystemExit, match="2"):
        metric_page.main(["--seqd", str(tmp_path), "--out", str(tmp_path)])
    assert "metric_page: --seqd must hold Parquet files" in capsys.readouterr().err
    assert not (tmp_path / "METRIC.md").exists()


def test_figures_are_the_same_bytes_whatever_the_users_settings(table):
    first = metric_figures.svg(metric_figures.classes_figure(table))
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "savefig.bbox": "tight", "svg.hashsalt": "x"}):
        second = metric_figures.svg(metric_figures.classes_figure(table))

    assert first == second
    assert "<dc:date>" not in first


def test_figures_stay_small_and_keep_their_text():
    table = metric.read_table()

    for figure in (metric_figures.classes_figure(table), metric_figures.intensity_figure(table)):
        svg = metric_figures.svg(figure)
        assert len(svg.encode()) < 150_000
        assert "crema_d" in shown(svg) or "nemo" in shown(svg)


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "speecheq.dataset_scripts.metric.figures")
    monkeypatch.delattr("speecheq.dataset_scripts.metric.figures")
    monkeypatch.delitem(sys.modules, "speecheq.dataset_scripts.metric.page")

    with pytest.raises(ImportError, match=r"matplotlib must be installed; got none\. Run `pip install matplotlib`"):
        importlib.import_module("speecheq.dataset_scripts.metric.page")
