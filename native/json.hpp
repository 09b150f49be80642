// A reader of JSON (RFC 8259) for the few fields that a pack needs. Safe on any bytes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace calotype {

struct json_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Json {
    enum class Kind { null, boolean, integer, number, string, array, object };

    Kind kind = Kind::null;
    std::int64_t integer = 0;  // only of numbers without point and exponent
    double number = 0;         // of every number; its last bits may be wrong beyond 15 digits
    std::string string;
    std::vector<Json> items;
    struct Member;
    std::vector<Member> members;

    // The member of that name, the last if there are more; null if there is none.
    const Json* find(const std::string& name) const;
};
struct Json::Member {
    std::string name;
    Json value;
};

inline const Json* Json::find(const std::string& name) const {
    for (std::size_t i = members.size(); i-- > 0;)
        if (members[i].name == name) return &members[i].value;
    return nullptr;
}

class JsonReader {
public:
    JsonReader(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}

    // Throws json_error.
    Json read() {
        Json found = value(0);
        space();
        if (at_ != end_) fail("something follows its end");
        return found;
    }

private:
    static constexpr int deepest = 32;

    [[noreturn]] static void fail(const char* what) { throw json_error(std::string("not JSON: ") + what); }

    char peek() const { return at_ == end_ ? '\0' : static_cast<char>(*at_); }
    char take() {
        if (at_ == end_) fail("it ends early");
        return static_cast<char>(*at_++);
    }
    void space() {
        while (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t') ++at_;
    }
    void word(const char* text) {
        for (; *text != '\0'; ++text)
            if (take() != *text) fail("an unknown word");
    }

    Json value(int depth) {
        if (depth > deepest) fail("too deep");
        Json v;
        space();
        switch (peek()) {
            case '{':
                v.kind = Json::Kind::object;
                list('}', [&] {
                    std::string name = text();
                    space();
                    if (take() != ':') fail("a name without a value");
                    v.members.push_back({std::move(name), value(depth + 1)});
                });
                return v;
            case '[':
                v.kind = Json::Kind::array;
                list(']', [&] { v.items.push_back(value(depth + 1)); });
                return v;
            case '"': v.kind = Json::Kind::string, v.string = text(); return v;
            case 't': v.kind = Json::Kind::boolean, v.integer = 1, word("true"); return v;
            case 'f': v.kind = Json::Kind::boolean, word("false"); return v;
            case 'n': word("null"); return v;
            default: number(v); return v;
        }
    }

    template <class Item>
    void list(char close, Item&& item) {
        take();
        space();
        if (peek() == close) return void(take());
        for (;;) {
            space();
            item();
            space();
            const char c = take();
            if (c == close) return;
            if (c != ',') fail("a list without a comma");
        }
    }

    void number(Json& v) {
        const bool minus = peek() == '-';
        if (minus) ++at_;
        if (peek() < '0' || peek() > '9') fail("an unknown word");
        v.kind = Json::Kind::integer;
        int exponent = 0;
        const auto digits = [&](int each) {
            for (; peek() >= '0' && peek() <= '9'; ++at_) {
                if (v.integer > (INT64_MAX - 9) / 10) {
                    v.kind = Json::Kind::number;  // too large to be of use
                    exponent += 1 + each;
                } else {
                    v.integer = 10 * v.integer + (*at_ - '0');
                    exponent += each;
                }
            }
        };
        digits(0);
        if (peek() == '.') {
            v.kind = Json::Kind::number;
            ++at_;
            digits(-1);
        }
        if (peek() == 'e' || peek() == 'E') {
            v.kind = Json::Kind::number;
            ++at_;
            const bool less = peek() == '-';
            if (less || peek() == '+') ++at_;
            int power = 0;
            for (; peek() >= '0' && peek() <= '9'; ++at_) power = std::min(10 * power + (*at_ - '0'), 9999);
            exponent += less ? -power : power;
        }
        double scale = 1;  // exact up to 10^22
        for (int i = std::abs(exponent); i > 0 && scale < 1e300; --i) scale *= 10;
        v.number = static_cast<double>(v.integer);
        v.number = exponent < 0 ? v.number / scale : v.number * scale;
        if (minus) v.integer = -v.integer, v.number = -v.number;
    }

    std::string text() {
        if (take() != '"') fail("a name is not a string");
        std::string found;
        for (char c = take(); c != '"'; c = take()) {
            if (static_cast<unsigned char>(c) < 32) fail("a control character in a string");
            if (c != '\\') {
                found += c;
                continue;
            }
            c = take();
            const std::string plain = "\"\\/bfnrt", meant = "\"\\/\b\f\n\r\t";
            if (const std::size_t i = plain.find(c); i != std::string::npos)
                found += meant[i];
            else if (c == 'u')
                utf8(found);
            else
                fail("an unknown escape");
        }
        return found;
    }

    // Characters beyond the first 2^16 come as two halves, each written as it is: no name that is looked for has any.
    void utf8(std::string& out) {
        unsigned code = 0;
        for (int i = 0; i < 4; ++i) {
            const char c = take();
            const std::size_t digit = std::string("0123456789abcdef").find(c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c);
            if (digit == std::string::npos) fail("an unknown escape");
            code = code << 4 | static_cast<unsigned>(digit);
        }
        if (code < 0x80) {
            out += static_cast<char>(code);
        } else if (code < 0x800) {
            out += static_cast<char>(0xc0 | code >> 6);
            out += static_cast<char>(0x80 | (code & 63));
        } else {
            out += static_cast<char>(0xe0 | code >> 12);
            out += static_cast<char>(0x80 | (code >> 6 & 63));
            out += static_cast<char>(0x80 | (code & 63));
        }
    }

    const std::uint8_t *at_, *end_;
};

}  // namespace calotype
