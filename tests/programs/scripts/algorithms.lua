-- Calls, closures, tables, metatables, integer and float arithmetic.
local function queens(n)
  local count, columns, up, down = 0, {}, {}, {}
  local function place(row)
    if row > n then count = count + 1 return end
    for column = 1, n do
      if not (columns[column] or up[row + column] or down[row - column + n]) then
        columns[column], up[row + column], down[row - column + n] = true, true, true
        place(row + 1)
        columns[column], up[row + column], down[row - column + n] = nil, nil, nil
      end
    end
  end
  place(1)
  return count
end

local function random(seed)
  return function(limit)
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    return seed % limit + 1
  end
end

local function sieve(n)
  local composite, count = {}, 0
  for i = 2, n do
    if not composite[i] then
      count = count + 1
      for j = i * i, n, i do composite[j] = true end
    end
  end
  return count
end

local Vector = {}
Vector.__index = Vector
Vector.__add = function(a, b) return setmetatable({x = a.x + b.x, y = a.y + b.y}, Vector) end
Vector.__eq = function(a, b) return a.x == b.x and a.y == b.y end
Vector.__tostring = function(v) return string.format("(%g, %g)", v.x, v.y) end
Vector.__call = function(v, factor) return setmetatable({x = v.x * factor, y = v.y * factor}, Vector) end
local function vector(x, y) return setmetatable({x = x, y = y}, Vector) end

print("queens", queens(7))
print("primes", sieve(20000))

local next_number, list = random(7), {}
for i = 1, 5000 do list[i] = next_number(1000000) end
table.sort(list)
local sorted = true
for i = 2, #list do sorted = sorted and list[i - 1] <= list[i] end
print("sorted", sorted, list[1], list[2500], list[5000])
table.sort(list, function(a, b) return a % 1000 < b % 1000 or (a % 1000 == b % 1000 and a < b) end)
print("sorted by remainder", list[1], list[2500], list[5000])

local sum = vector(0, 0)
for i = 1, 100 do sum = sum + vector(i, i / 3)(0.5) end
print("vectors", tostring(sum), sum == vector(sum.x, sum.y))

print("integers", math.maxinteger, math.mininteger, math.maxinteger + 1 == math.mininteger)
print("divisions", 7 // 2, -7 // 2, 7 % -3, -7 % 3, 7.5 // 2, 7 / 2, 2 ^ 0.5)
print("bits", 0xff00ff & 0x0ff0f0, 1 << 62, -1 >> 60, ~0, 5 ~ 3)
print("floats", 0.1 + 0.2, 1e300 * 1e10, -1 / 0, 0 / 0 ~= 0 / 0, math.floor(-3.5), math.tointeger(3.0))
print("math", math.sin(1), math.exp(1), math.log(10), math.fmod(7, 3), math.ult(1, -1))

local total = 0
for i = 1, 20 do
  for j = 1, 20 do
    if j % 7 == 0 then goto continue end
    total = total + i * j
    ::continue::
  end
end
print("goto", total, select("#", table.unpack({1, 2, nil, 4}, 1, 4)))

local memo = setmetatable({}, {__index = function(self, n)
  local value = n < 2 and n or self[n - 1] + self[n - 2]
  rawset(self, n, value)
  return value
end})
print("fibonacci", memo[80])

collectgarbage()
local garbage = {}
for i = 1, 20000 do garbage[i % 100] = {i, tostring(i)} end
collectgarbage("generational")
for i = 1, 20000 do garbage[i % 100] = {i, {i}} end
collectgarbage("incremental")
print("garbage", garbage[99][1], collectgarbage("count") < 10000)
