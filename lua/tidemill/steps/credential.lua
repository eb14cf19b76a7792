-- SPDX-License-Identifier: MIT
-- steps/credential.lua: a secret that systemd gives to the service.
return {
  name = "credential",
  kind = "value",
  summary = "a credential of systemd (LoadCredential=), read when the engine connects, never printed",
  example = 'rdkafka = { ["sasl.password"] = tide.credential "kafka" }',
  options = {},
  arguments = {
    { name = "name", type = "string", required = true,
      help = "The name of the credential: the file of this name in the folder $CREDENTIALS_DIRECTORY." },
  },
}
