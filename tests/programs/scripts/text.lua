-- Strings: patterns, formats, packing, Unicode.
local text = ("The quick brown fox jumps over the lazy dog. "):rep(40)
local words, order = {}, {}
for word in text:lower():gmatch("%a+") do
  if not words[word] then order[#order + 1] = word end
  words[word] = (words[word] or 0) + 1
end
table.sort(order)
for _, word in ipairs(order) do io.write(word, "=", words[word], " ") end
print()

print(text:find("fox", 1, true), text:match("(%a+) dog"), (text:gsub("%s+", "_")):sub(1, 40))
print(("key = value # comment"):match("^(%w+)%s*=%s*(%w+)"), ("2026-11-23"):match("(%d+)-(%d+)-(%d+)"))
print((("hello"):gsub("l", {l = "L"})), ("abc"):gsub("%w", function(c) return c:byte() .. "," end))
print(("%b()"):rep(1), ("f(a(b)c)d"):match("%b()"), ("x"):rep(5, "-"), ("abc"):reverse():upper())
print(string.format("%5d|%-5d|%05d|%x|%X|%o|%c|%q|%s|%10.3s|", 42, 42, 42, 255, 255, 8, 65, "a\n\"b\0", nil, "abcdef"))
print(string.format("%g %g %.3f %10.2e %a %i", 1e15, 1e16, 2 / 3, 12345.678, 0.5, -3))
print(string.pack("<i4 >i2 z s1", -2, 258, "zero", "count"):byte(1, -1))
print(string.unpack("<I8", string.pack("<d", 1.5)), string.packsize("i4 i8 d"))
for position, code in utf8.codes("aé€😀") do io.write(position, ":", code, " ") end
print(utf8.len("aé€😀"), utf8.char(8364, 128512), utf8.len("\xff"))
print(tostring(1e100), tostring(-0.0), 10 // 0.3, tonumber("0x1p4"), tonumber("  12  "), tonumber("z", 36), tonumber("12a"))
local parts = {}
for i = 1, 3000 do parts[#parts + 1] = i .. ":" .. i * i end
local joined = table.concat(parts, ";")
local sum = 0
for i = 1, #joined do sum = (sum * 31 + joined:byte(i)) % 4294967291 end
print(#joined, sum)
print(load("local a, b = ... return a * b + 1")(6, 7))
print(os.date("!%Y-%m-%d %H:%M:%S", 1000000000), #arg, arg[1], arg[2])
