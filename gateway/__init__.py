"""Stagedoor's gateway: the processes around the policy table.

A room for each role (`supervisor`, `door`, `control`, `engine`), for what they share without doing I/O (`http1`,
`identity`, `config`), and for those who stand outside a node (`commands`, `node`, `authoring`, `doctor`, `people`,
`laptop`, `lab`). The modules beside them are the words between the rooms: errors, settings' documents, frames, the
snapshot, messages, counts.
"""
