# SPDX-License-Identifier: Apache-2.0
"""Phones that speak by connections: our own, byte by byte, and real ones as Debian packs them."""
