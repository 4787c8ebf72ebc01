"""`oidc`: lets in who shows a token that one of the named OpenID Connect providers has signed.

The provider's public keys are found by discovery, and looked up again when a token is signed with one that is not
known; or they are in a file, and then nobody is asked.
"""

from otelingest.extensions.oidc.extension import Oidc

__all__ = ["Oidc"]
