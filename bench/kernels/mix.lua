local function fib(n) if n < 2 then return n end return fib(n-1) + fib(n-2) end
local t = {}
for i = 1, 200000 do t[i] = (i * 7919) % 10007 end
table.sort(t)
local s = 0
for i = 1, #t do s = s + t[i] * i % 13 end
local words = {}
for i = 1, 50000 do local w = "w" .. (i * 31 % 5000); words[w] = (words[w] or 0) + 1 end
local n = 0 for k, v in pairs(words) do n = n + #k * v end
print(fib(27), s, n)
