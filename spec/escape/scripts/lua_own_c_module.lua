-- SPDX-License-Identifier: MIT
-- It requires a library in C beside the pipeline.
return { stopped_by = { "hardened" }, attack = function(t)
  package.cpath = t.folder .. "/?.so"
  local ok, problem = pcall(require, "library")
  return ok and "loaded" or tostring(problem):find "undefined symbol" and "the library was opened"
end }
