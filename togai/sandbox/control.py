"""placeholder"""

from togai.sandbox.server import Handler


class ControlHandler(Handler):
    def do_GET(self):
        self.send_json(200, {})
