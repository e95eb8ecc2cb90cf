"""The language server and names with combining marks, whose columns count UTF-16 units."""

from __future__ import annotations

from lsp_client import CURSOR, Client


def test_renaming_a_name_with_marks(client: Client) -> None:
    text = "net n() {\n    input x: [4]\n    e\u0301tage = x -> linear(3)  # 𝒙\n    output y = \u00e9ta‸ge\n}\n"
    edit = client.at("textDocument/rename", "marks.net", text, newName="परत")
    changed = client.applied(edit)["marks.net"]
    assert changed == text.replace(CURSOR, "").replace("e\u0301tage", "परत").replace("\u00e9tage", "परत")
    back = client.at("textDocument/rename", "marks.net", changed.replace("= परत", "= प‸रत"), newName="e\u0301tage")
    assert client.applied(back)["marks.net"] == text.replace(CURSOR, "").replace("e\u0301tage", "\u00e9tage")


def test_completion_in_the_middle_of_a_name_with_marks(client: Client) -> None:
    text = "net n() {\n    input x: [4]\n    क्षेत्र = x -> linear(3)\n    output y = 𝒙 + क्षे‸\n}\n"
    assert "क्षेत्र" in client.completion("half.net", text)
