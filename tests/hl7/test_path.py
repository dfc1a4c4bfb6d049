import pytest

from vitalbridge.hl7 import InvalidPath, Path, parse_path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("PID-5", Path("PID", 1, 5, 1, 1, 1, 0, 0)),
        ("PID-3[2]", Path("PID", 1, 3, 1, 1, 2, 0, 1)),
        ("PID-3.4", Path("PID", 1, 3, 4, 1, 1, 0, 2)),
        ("PID-3[2].4.2", Path("PID", 1, 3, 4, 2, 2, 0, 3)),
        ("OBR[3]-4.1", Path("OBR", 3, 4, 1, 1, 1, 0, 2)),
        ("/ORDER[2]/OBX[3]-5", Path("OBX", 3, 5, 1, 1, 1, 2, 0)),
        ("ORDER/OBR-4.1", Path("OBR", 1, 4, 1, 1, 1, 1, 2)),
        ("ZDS-1", Path("ZDS", 1, 1, 1, 1, 1, 0, 0)),
    ],
)
def test_paths(text: str, path: Path) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PID",
        "PID-",
        "PID-0",
        "PID-3[0]",
        "PID-3.0",
        "PID-3.1.1.1",
        "PID-3[2]x",
        "PID-3\n",
        "PID-٣",
        "pid-3",
        "PI-3",
        "PIDX-3",
        "PID[1-3",
        "PID--3",
        "PID-99999999",
        "ORDER[2]-3",
        "/PATIENT/PID-3",
    ],
)
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(InvalidPath):
        parse_path(text)
