"""The WSGI application that the server loads."""

import gc
import multiprocessing
import os
import signal
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from togai.orphans import die_with_the_parent

if multiprocessing.parent_process():
    # The server's child: when the server is killed, nobody else would end it, and it would keep the port.
    die_with_the_parent(signal.SIGTERM)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()

# With the addresses all views, forms and models are loaded, and they stay. The collector need not look
# through them again: large forms set off a full collection every few requests, a tenth of a second each.
# Nor need it come by after every 700 new objects, where a form of a thousand cells makes many thousands.
import_module(settings.ROOT_URLCONF)
gc.collect()
gc.freeze()
gc.set_threshold(5000)
