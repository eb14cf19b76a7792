-- SPDX-License-Identifier: MIT
-- Scripts that a level is meant to stop and does not yet, by name, with the reason.
return { full = {}, standard = {}, hardened = {} }
