"""What stands for the world's mail: one mbox file in the lab's directory, which `mail -f` and mutt can read."""

import mailbox
import threading
from email import policy
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path

SENDER = "AWS Notifications <no-reply@sns.amazonaws.com>"
WHOLE_LINES = policy.default.clone(max_line_length=998)
"""As long as SMTP allows: a link that is broken into pieces cannot be visited from a terminal."""


class Mailbox:
    """Any thread may deliver; a reader sees whole mails only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def deliver(self, to: str, subject: str, body: str) -> None:
        mail = EmailMessage(WHOLE_LINES)
        mail["From"], mail["To"], mail["Subject"] = SENDER, to, " ".join(subject.split())
        mail["Date"] = formatdate(usegmt=True)
        mail.set_content(body)
        with self._lock:
            box = mailbox.mbox(self.path)
            try:
                box.lock()
                box.add(mail)
                box.flush()
            finally:
                box.close()
