"""What people ask about devices: pages and the API read the last look, commands plan and apply.

Reading waits for no device and changes nothing (`readers.py`). Whoever plans or applies holds the device meanwhile,
and passes the same guards as the engine by itself (`requests.py`).
"""
