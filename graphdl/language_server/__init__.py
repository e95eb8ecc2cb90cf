"""The language server: it answers an editor over the Language Server Protocol with the parser and the expansion.

``text`` converts positions. ``analysis`` has the facts about one text, ``documents`` the files of a session,
``context`` and ``calls`` the surroundings of the cursor. ``hover``, ``completion``, ``signatures``, ``outline``,
``rename`` and ``problems`` have one answer each, and ``features`` is the protocol. It needs the extra ``editor``.
"""
