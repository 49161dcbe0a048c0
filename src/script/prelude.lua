-- Prepares a virtual machine for scripts: what a script sees instead of Lua's own globals.
--
-- Arguments: Lua's globals, the functions and libraries written in Rust, and the constants of the `redis` table.
-- Returns: the environments of scripts and of functions as they are shown, the real table behind the former, the runner, and
-- what loads a library.
local G, native, libraries, redis = ...

local error, type, rawnext, rawset, rawget = G.error, G.type, G.next, G.rawset, G.rawget
local rawpcall, rawxpcall, rawresume = native.pcall, native.xpcall, G.coroutine.resume
local rawsetmetatable, rawgetmetatable, rawload, rawloadstring = G.setmetatable, G.getmetatable, G.load, G.loadstring
local rawpairs, rawcollect, setfenv, select, byte = G.pairs, G.collectgarbage, G.setfenv, G.select, G.string.byte
local newcoroutine = G.coroutine.create
local rawinsert, rawremove, rawsort, rawsetn = G.table.insert, G.table.remove, G.table.sort, G.table.setn
local convert = native.convert

local READONLY = "Attempt to modify a readonly table"

-- Read-only tables are empty ones that show another. The key is what the script sees, the value what it shows.
local shown = rawsetmetatable({}, { __mode = "k" })

local function refuse()
  error(READONLY, 2)
end

local function readonly(real)
  local face, meta = {}, { __index = real, __newindex = refuse, __metatable = false }
  shown[face] = real
  return rawsetmetatable(face, meta), meta
end

-- What read-only tables have for a metatable, as far as scripts are concerned.
local nothing = readonly({})

local function check(table)
  if shown[table] then
    error(READONLY, 0)
  end
end

-- Errors of Rust functions are objects that no script is to see: they become the tables and texts of Redis. An end that was
-- ordered passes through every protected call.
local function settle(ok, ...)
  if ok then
    return true, ...
  end
  local failure = ...
  if type(failure) == "userdata" then
    failure = convert(failure)
  end
  return false, failure
end

local base = {}
for name in ("assert error gcinfo ipairs rawequal select tonumber tostring type unpack _VERSION"):gmatch("%S+") do
  base[name] = G[name]
end

-- Redis's own pcall returns the text of an error that is a table with one.
local function plain(ok, ...)
  if ok then
    return true, ...
  end
  local failure = ...
  if type(failure) == "table" then
    local text = rawget(failure, "err")
    if type(text) == "string" or type(text) == "number" then
      failure = text
    end
  end
  return false, failure
end

function base.pcall(...)
  return plain(settle(rawpcall(...)))
end

function base.xpcall(body, handler)
  return settle(rawxpcall(body, function(failure)
    if type(failure) == "userdata" then
      if native.ends(failure) then
        return failure
      end
      failure = convert(failure)
    end
    return handler(failure)
  end))
end

function base.next(table, key)
  return rawnext(shown[table] or table, key)
end

function base.pairs(table)
  return rawpairs(shown[table] or table)
end

function base.rawget(table, key)
  return rawget(shown[table] or table, key)
end

function base.rawset(table, key, value)
  check(table)
  return rawset(table, key, value)
end

function base.setmetatable(table, meta)
  check(table)
  -- A finalizer would run outside of every script, and strings are shared by all.
  return rawsetmetatable(table, meta)
end

function base.getmetatable(object)
  if shown[object] then
    return nothing
  end
  return rawgetmetatable(object)
end

function base.collectgarbage(option, ...)
  if option == "stop" or option == "restart" or option == "setpause" or option == "setstepmul" then
    return 0
  end
  return rawcollect(option, ...)
end

-- Text that is loaded sees what the script sees. Compiled code would escape from that.
local environment

function base.loadstring(text, name)
  if type(text) == "string" and byte(text) == 27 then
    return nil, "attempt to load compiled code"
  end
  local chunk, failure = rawloadstring(text, name)
  if chunk then
    setfenv(chunk, environment)
  end
  return chunk, failure
end

function base.load(reader, name)
  local first = true
  local chunk, failure = rawload(function()
    local piece = reader()
    if first and type(piece) == "string" and piece ~= "" then
      first = false
      if byte(piece) == 27 then
        error("attempt to load compiled code", 0)
      end
    end
    return piece
  end, name)
  if chunk then
    setfenv(chunk, environment)
  elseif type(failure) == "userdata" then
    failure = convert(failure)
  end
  return chunk, failure
end

local function copy(from)
  local to = {}
  for name, value in rawnext, from do
    to[name] = value
  end
  return to
end

local coroutine = copy(G.coroutine)
function coroutine.resume(...)
  return settle(rawresume(...))
end

local tables = copy(G.table)
function tables.insert(table, ...)
  check(table)
  return rawinsert(table, ...)
end
function tables.remove(table, ...)
  check(table)
  return rawremove(table, ...)
end
function tables.sort(table, ...)
  check(table)
  return rawsort(table, ...)
end
function tables.setn(table, ...)
  check(table)
  return rawsetn(table, ...)
end

local math = copy(G.math)
math.random, math.randomseed = native.random, native.randomseed

base.coroutine, base.table, base.math = readonly(coroutine), readonly(tables), readonly(math)
base.string, base.os = readonly(G.string), readonly({ clock = native.clock })
rawgetmetatable("").__metatable = readonly({ __index = base.string })
for name, library in rawnext, libraries do
  base[name] = readonly(library)
end

local function missing(_, name)
  local kind = type(name)
  if kind ~= "string" and kind ~= "number" then
    error("Second argument to luaProtectedTableError must be a string or number", 2)
  end
  error("Script attempted to access nonexistent global variable '" .. name .. "'", 2)
end

local function globals(api)
  local real = copy(base)
  real.redis, real.server = readonly(api), readonly(api)
  local face, meta = readonly(real)
  real._G = face
  rawsetmetatable(real, { __index = missing })
  return face, real, meta
end

local api = copy(redis)
for name, value in rawnext, native.scripts do
  api[name] = value
end
local scripts, script_globals = globals(api)
local functions, function_globals, meta = globals(copy(redis))

-- Runs `body`, and returns whether it ended well and its first result or what it raised.
local handler = native.handler
local function run(where, body, keys, argv)
  environment = where
  local ok, result
  if keys then
    ok, result = rawxpcall(function() return body(keys, argv) end, handler)
  else
    ok, result = rawxpcall(body, handler)
  end
  return ok, result
end

-- While a library is loaded, what its functions see later is not there yet: it can only register them, and log.
api = copy(native.loading)
for name, value in rawnext, redis do
  if name == "log" or name:find("^LOG_") or name:find("^REDIS_VERSION") then
    api[name] = value
  end
end
api = readonly(rawsetmetatable(api, { __index = missing }))
local loading = rawsetmetatable({ redis = api, server = api }, { __index = missing })
local function load_library(body)
  meta.__index, shown[functions] = loading, loading
  local ok, result = run(functions, body)
  meta.__index, shown[functions] = function_globals, function_globals
  return ok, result
end

return scripts, functions, script_globals, run, load_library
