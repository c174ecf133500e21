"""A browser for the page."""

from browser import browser as browser
