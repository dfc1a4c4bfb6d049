"""Names, streets and towns in several scripts, each with the character set its country sends.

The people are invented: family and given names are common ones, combined at random.
"""

from __future__ import annotations

from typing import NamedTuple


class Script(NamedTuple):
    """People of one language: how they write and what their systems put into MSH-18.

    ``charset`` is the value of HL7 table 0211 and ``codec`` Python's name of the same encoding.
    A name is a tuple of its representations in the order of ``codes`` (HL7 table 0465: A
    alphabetic, I ideographic, P phonetic).
    """

    charset: str
    codec: str
    codes: str
    families: tuple[tuple[str, ...], ...]
    women: tuple[tuple[str, ...], ...]
    men: tuple[tuple[str, ...], ...]
    streets: tuple[str, ...]
    towns: tuple[tuple[str, str], ...]
    country: str


def _one(names: str) -> tuple[tuple[str, ...], ...]:
    return tuple((name,) for name in names.split())


def _many(names: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(name.split("/")) for name in names.split())


ENGLISH = Script(
    "",
    "ascii",
    "A",
    _one("Smith Jones O'Brien Taylor Walker MacDonald Hughes Baker Turner Reed Ashworth Doyle"),
    _one("Alice Grace Emily Hannah Rose Ivy Martha Joan Edith Nora"),
    _one("Oliver Jack Harry George Samuel Arthur Peter Frank Ralph Owen"),
    ("12 Mill Lane", "4 Station Road", "87 High Street", "31 Orchard Close"),
    (("Leeds", "LS1 4AP"), ("Bristol", "BS1 5TR"), ("Dundee", "DD1 4QB")),
    "GBR",
)
WESTERN = Script(
    "8859/1",
    "iso8859-1",
    "A",
    _one("Müller Jäger Großmann Lefèvre Núñez García Sørensen Åkesson Gonçalves Pérez Blöndal"),
    _one("Zoë Chloé Åsa Jürgine Inés Françoise Björk Sofía Hélène Käthe"),
    _one("Jürgen José François Søren Göran Iñigo André Jörg Ólafur René"),
    ("Königstraße 7", "Rue de l'Évêché 15", "Calle Peñón 3", "Ångermannagatan 22"),
    (("Köln", "50667"), ("Orléans", "45000"), ("A Coruña", "15001"), ("Malmö", "21119")),
    "DEU",
)
POLISH = Script(
    "8859/2",
    "iso8859-2",
    "A",
    _one("Wójcik Kowalczyk Zieliński Dvořák Černý Szabó Kőszegi Wiśniewski"),
    _one("Małgorzata Łucja Božena Zsófia Jiřina Elżbieta"),
    _one("Paweł Łukasz Jiří György Ondřej Michał"),
    ("ul. Żelazna 8", "Dlouhá třída 14", "Kőrösi út 5"),
    (("Kraków", "31-001"), ("Plzeň", "301 00"), ("Győr", "9021")),
    "POL",
)
GREEK = Script(
    "8859/7",
    "iso8859-7",
    "A",
    _one("Παπαδόπουλος Δημητρίου Νικολάου Αγγελίδης Βασιλείου Οικονόμου"),
    _one("Ελένη Μαρία Σοφία Κατερίνα Ιωάννα Δήμητρα"),
    _one("Γιώργος Κώστας Διονύσιος Νίκος Σπύρος Ανδρέας"),
    ("Ερμού 12", "Λεωφόρος Νίκης 5", "Πατησίων 101"),
    (("Αθήνα", "10563"), ("Θεσσαλονίκη", "54622"), ("Πάτρα", "26221")),
    "GRC",
)
CYRILLIC = Script(
    "8859/5",
    "iso8859-5",
    "A",
    _one("Иванов Соколов Павлов Петренко Волков Јовановић Попов"),
    _one("Анна Ольга Наталья Мария Светлана Љиљана"),
    _one("Сергей Дмитрий Иван Николай Ђорђе Алексей"),
    ("ул. Садовая 17", "пр. Мира 4", "Кнез Михаилова 9"),
    (("Варна", "9000"), ("Београд", "11000"), ("Алматы", "050000")),
    "SRB",
)
HEBREW = Script(
    "8859/8",
    "iso8859-8",
    "A",
    _one("כהן לוי מזרחי פרץ ביטון שרון"),
    _one("דבורה רחל שרה נועה תמר יעל"),
    _one("דוד יוסף משה אברהם יונתן אורי"),
    ("רחוב הרצל 10", "דרך יפו 44"),
    (("תל אביב", "6688101"), ("חיפה", "3303213")),
    "ISR",
)
ARABIC = Script(
    "8859/6",
    "iso8859-6",
    "A",
    _one("قباني الخوري حداد المصري النجار الزين"),
    _one("فاطمة ليلى مريم زينب سلمى نور"),
    _one("نزار محمد أحمد يوسف كريم سامي"),
    ("شارع الحمرا 21", "طريق الجامعة 6"),
    (("بيروت", "1103"), ("عمان", "11118")),
    "JOR",
)
JAPANESE = Script(
    "~ISO IR87",
    "iso2022_jp",
    "AIP",
    _many(
        "Yamada/山田/やまだ Suzuki/鈴木/すずき Tanaka/田中/たなか Watanabe/渡辺/わたなべ "
        "Kobayashi/小林/こばやし Mori/森/もり"
    ),
    _many("Hanako/花子/はなこ Yoko/洋子/ようこ Misaki/美咲/みさき Sakura/桜/さくら"),
    _many("Tarou/太郎/たろう Kenji/健二/けんじ Hiroshi/浩/ひろし Makoto/誠/まこと"),
    ("本町1丁目2", "中央区栄3"),
    (("札幌市", "060-0001"), ("大阪市", "530-0001")),
    "JPN",
)
KOREAN = Script(
    "KS X 1001",
    "euc_kr",
    "AIP",
    _many("Hong/洪/홍 Kim/金/김 Lee/李/이 Park/朴/박 Choi/崔/최"),
    _many("Minji/敏智/민지 Soyeon/素延/소연 Youngja/英子/영자"),
    _many("Gildong/吉洞/길동 Minjun/民俊/민준 Sungho/成浩/성호"),
    ("세종대로 110", "중앙로 25"),
    (("서울", "04524"), ("부산", "48951")),
    "KOR",
)
CHINESE = Script(
    "GB 18030-2000",
    "gb18030",
    "AI",
    _many("Wang/王 Li/李 Zhang/张 Liu/刘 Chen/陈 Zhu/朱镕"),
    _many("XiaoHong/小红 LiNa/丽娜 Xue/雪 MeiLing/美玲"),
    _many("XiaoDong/小东 Wei/伟 Jun/军 ZhiQiang/志强"),
    ("中山路18号", "人民大道200号"),
    (("北京市", "100006"), ("上海市", "200003")),
    "CHN",
)

# How often each script comes: (script, weight).
POPULATION: tuple[tuple[Script, int], ...] = (
    (ENGLISH, 34),
    (WESTERN, 24),
    (POLISH, 6),
    (GREEK, 6),
    (CYRILLIC, 6),
    (HEBREW, 4),
    (ARABIC, 4),
    (JAPANESE, 6),
    (KOREAN, 5),
    (CHINESE, 5),
)

DOCTORS = (
    "1234^Hill^Robert^J^^Dr^MD",
    "2087^Okafor^Ngozi^^^Dr^MD",
    "3310^Svensson^Karin^^^Dr^MD",
    "4152^Rossi^Paolo^^Jr^Dr^MD",
    "5561^Novak^Eva^^^Dr^PhD",
    "6009^Tan^Mei Lin^^^Dr^MBBS",
)


def person_name(script: Script, family: tuple[str, ...], given: tuple[str, ...]) -> str:
    """Return PID-5 as XPN repetitions, one per representation (HL7 v2.5.1 2.A.88)."""
    if len(script.codes) == 1:
        return f"{family[0]}^{given[0]}^^^^^L"
    return "~".join(f"{family[i]}^{given[i]}^^^^^L^{code}" for i, code in enumerate(script.codes))
