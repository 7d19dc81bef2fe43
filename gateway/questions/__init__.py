"""What people ask about permissions: may she, who may, what may they, and by which way does a request come.

Every answer comes from the table that doors decide from, whether it was compiled from files a moment ago or is the one
in force; the command line, the API and the pages say the same words because they all ask here.
"""
