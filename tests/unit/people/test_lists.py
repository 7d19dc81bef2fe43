"""Promises about exported lists: every form that providers write, every bad line by its number, within bounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StagedoorError
from gateway.people import records
from gateway.people.lists import GroupsBy, ProviderList, Row, read_list


def read(tmp_path: Path, text: str | bytes, *claims: str, by: GroupsBy = "name") -> ProviderList:
    file = tmp_path / "list"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_list(file, claims or ("sub",), by)


def faults(found: ProviderList) -> list[tuple[int, str]]:
    return [(fault.source.line, fault.message) for fault in found.faults]


JANE = Row(
    "s-1", {"email": "jane@corp.test", "name": "Jane", "preferred_username": "jane", "sub": "s-1"}, True, ("a", "b")
)
FORMS = {
    "JSON lines of claims": (
        '{"sub": "s-1", "email": "jane@corp.test", "email_verified": true, "name": "Jane",'
        ' "preferred_username": "jane", "groups": ["a", "b"]}\n\n{"sub": "s-2"}\n'
    ),
    "CSV": "Sub,E-Mail,Email Verified,Display_Name,User Name,Groups\ns-1,jane@corp.test,true,Jane,jane,a;b\ns-2,,,,,\n",
    "CSV with semicolons": (
        'sub;email;email_verified;name;username;groups\ns-1;jane@corp.test;yes;Jane;"jane";a|b\ns-2;;;;;\n'
    ),
    "CSV of a spreadsheet": (
        "\ufeffsub,mail,email_verified,name,login,memberOf\r\ns-1,jane@corp.test,1,Jane,jane,a; b\r\ns-2\r\n"
    ),
    "SCIM": json.dumps({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "Resources": [
            {"id": "s-1", "userName": "jane", "displayName": "Jane", "emailVerified": True,
             "emails": [{"value": "x@home.test"}, {"value": "jane@corp.test", "primary": True}],
             "groups": [{"value": "1", "display": "a"}, {"value": "2", "display": "b"}]},
            {"id": "s-2"},
        ],
    }),
    "Okta": json.dumps([
        {"id": "s-1", "email_verified": True, "groups": ["a", "b"],
         "profile": {"login": "jane", "email": "jane@corp.test", "displayName": "Jane"}},
        {"id": "s-2"},
    ]),
    "Microsoft Graph": json.dumps({"value": [
        {"id": "s-1", "mail": "jane@corp.test", "emailVerified": "true", "displayName": "Jane",
         "userPrincipalName": "jane", "memberOf": [{"id": "1", "displayName": "a"}, {"id": "2", "displayName": "b"}]},
        {"id": "s-2"},
    ]}),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(tmp_path: Path, form: str) -> None:
    found = read(tmp_path, FORMS[form])
    assert faults(found) == []
    assert found.rows[0] == JANE
    assert found.rows[1].subject == "s-2"
    assert found.rows[1].email_verified is None


def test_a_list_that_has_a_column_of_groups_says_of_everybody_in_which_they_are(tmp_path: Path) -> None:
    assert [row.groups for row in read(tmp_path, "sub,groups\ns-1,\ns-2,a\n").rows] == [(), ("a",)]
    assert [row.groups for row in read(tmp_path, "sub\ns-1\n").rows] == [None]


def test_the_id_of_an_export_stands_for_the_claim_that_tokens_have_it_in(tmp_path: Path) -> None:
    text = '{"value": [{"id": "o-1", "realm": "x"}]}'
    (entra,) = read(tmp_path, text, "oid").rows
    assert (entra.subject, entra.claims) == ("o-1", {"oid": "o-1"})
    (other,) = read(tmp_path, text, "employee").rows
    assert other.claims == {}, "an id is nobody's employee number"
    (dotted,) = read(tmp_path, '[{"sub": "s", "a": {"b": "c"}, "a.d": "e"}]', "a.b", "a.d").rows
    assert dotted.claims == {"a.b": "c", "a.d": "e"}


def test_groups_of_a_list_bring_their_members_by_id_or_by_name(tmp_path: Path) -> None:
    text = json.dumps({"Resources": [
        {"id": "g-1", "displayName": "Payments", "members": [{"value": "u-1"}, {"value": "gone"}]},
        {"id": "u-1", "userName": "jane", "groups": [{"value": "g-0", "display": "Zero"}]},
        {"id": "u-2", "userName": "joe"},
        {"@odata.type": "#microsoft.graph.group", "id": "g-2", "displayName": "Empty"},
    ]})  # fmt: skip
    by_name = read(tmp_path, text)
    assert (by_name.groups, [row.groups for row in by_name.rows]) == (("Payments", "Empty"), [("Zero", "Payments"), ()])
    by_id = read(tmp_path, text, by="id")
    assert (by_id.groups, [row.groups for row in by_id.rows]) == (("g-1", "g-2"), [("g-0", "g-1"), ()])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"sub": "s-1"}\nnonsense\n{"sub": "s-2", "sub": "s-3"}\n[1]\n{"sub": "s-4"}', [2, 3, 4]),
        ("sub,email\ns-1,a@b.test\ns-2,x,y,z\n,only@mail.test\ns-1,again@b.test\n", [3, 4, 5]),
        ('sub,email\ns-1,"a\nb"\ns-2,ok@b.test\ns-3,"\x07"\n', [2, 5]),
        ("sub,email_verified\ns-1,perhaps\ns-2,true\n", [2]),
        ('sub\ns-1\n"broken', [3]),
        ("sub\n" + "x" * 256 + "\ns-2\n", [2]),
    ],
)
def test_every_bad_line_is_named_and_the_rest_counts(tmp_path: Path, text: str, found: list[int]) -> None:
    result = read(tmp_path, text)
    assert [line for line, _ in faults(result)] == found
    assert result.rows
    assert {fault.source.file for fault in result.faults} == {str(tmp_path / "list")}


def test_a_bad_entry_of_one_document_is_named_by_its_number(tmp_path: Path) -> None:
    text = json.dumps(
        {
            "Resources": [
                {"id": "s-1"},
                7,
                {"id": "s-2\n"},
                {"displayName": "x", "members": 3},
                {"id": "s-3", "groups": 7},
            ]
        }
    )
    result = read(tmp_path, text)
    assert [message.partition(":")[0] for _, message in faults(result)] == ["entry 2", "entry 3", "entry 4", "entry 5"]
    assert [row.subject for row in result.rows] == ["s-1"]


@pytest.mark.parametrize("text", [b"sub\n\xff\n", b"\x00\x01"])
def test_what_is_no_text_is_said_at_once(tmp_path: Path, text: bytes) -> None:
    if b"\xff" in text:
        with pytest.raises(StagedoorError, match="line 2 has the byte 0xff"):
            read(tmp_path, text)
    else:
        assert read(tmp_path, text).rows == ()


def test_a_file_over_the_bound_and_one_that_is_absent_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StagedoorError, match="No such file"):
        read_list(tmp_path / "absent", ("sub",), "name")
    monkeypatch.setattr(records, "FILE_BYTES", 10)
    with pytest.raises(StagedoorError, match="is larger than"):
        read(tmp_path, "sub\n" + "s\n" * 20)


HOSTILE: list[Any] = [
    "[" * 100_000, '{"Resources": ' + "[" * 50_000, '[{"id": {"a": {}}}]', '[{"id": [1, [2]]}]', '[{"emails": [[]]}]',
    '[{"sub": true, "name": {"givenName": []}}]', '{"value": {"a": 1}}', "[]", "{}", "", "\n\n", "sub", ",,,\n,,,\n",
    '[{"sub": "s", "groups": [{"display": {"a": 1}}]}]', '[{"sub": "\\ud800"}]', '[{"members": [{"value": {}}]}]',
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_list_is_faults_and_no_crash(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, text)
    assert all(type(row) is Row and row.subject for row in found.rows)
