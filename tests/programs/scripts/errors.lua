-- Errors in Lua are longjmp in C: caught, thrown again, out of coroutines, metamethods, callbacks
-- of the library, and from the depth of a stack that overflows.
local function place(message) return (tostring(message):gsub("^.-:%d+: ", "")) end

print(pcall(error))
print(select("#", pcall(error, nil)), select(2, pcall(error, {code = 7})).code)
print(place(select(2, pcall(function() local t; return t.x end))))
print(xpcall(function() error("inner", 0) end, function(e) return "handled " .. e end))

local depth = 0
local function nest(n)
    if n == 0 then error("bottom", 0) end
    local ok, message = pcall(nest, n - 1)
    depth = depth + 1
    error(message, 0)
end
print(pcall(nest, 150), depth)

local co = coroutine.wrap(function(a)
    local ok, message = pcall(function() coroutine.yield(a + 1) error("after a yield", 0) end)
    coroutine.yield(message)
    error("out of the coroutine", 0)
end)
print(co(1), co(), pcall(co))

local angry = setmetatable({}, {__index = function(_, key) error("no " .. key, 0) end,
                                __lt = function() error("not ordered", 0) end})
print(pcall(function() return angry.field end))
print(pcall(table.sort, {angry, angry, angry}))
print(pcall(string.gsub, "abc", "%w", function(c) if c == "b" then error("at b", 0) end end))

local function endless() return endless() + 1 end
local ok, message = pcall(endless)
print(ok, place(message):match("^stack overflow"))

local closed = {}
local function with_close()
    local guard <close> = setmetatable({}, {__close = function(_, e) closed[#closed + 1] = e end})
    error("while open", 0)
end
print(pcall(with_close), closed[1])

local count = 0
for i = 1, 20000 do
    if not pcall(error, i) then count = count + 1 end
end
print(count, collectgarbage("count") < 4096)
print(pcall(load, "x = = 1"))
print(load("return +"))
goto done
error("not reached")
::done::
print(pcall(string.rep, "x", -1), (pcall(string.rep, "x", 1 << 40)))
