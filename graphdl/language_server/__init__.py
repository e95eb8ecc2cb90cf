"""The language server: an editor asks over the Language Server Protocol, and the parser and expansion answer.

``text`` positions; ``symbols`` and ``binding`` what names mean; ``analysis`` what one text is worth; ``documents``
the files of a session; ``context`` and ``calls`` where the cursor stands; ``hover``, ``completion``, ``signatures``,
``outline``, ``rename`` and ``problems`` one answer each; ``features`` the protocol. Needs the extra ``editor``.
"""
