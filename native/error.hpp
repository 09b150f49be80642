// What goes wrong while a file is decoded, by whose fault it is.
#pragma once

#include <stdexcept>
#include <string>

namespace calotype {

enum class Fault { format = 1, limit = 2, pack = 3, argument = 4 };

struct Error : std::runtime_error {
    Error(Fault why, const std::string& text) : std::runtime_error(text), fault(why) {}

    Fault fault;
};

}  // namespace calotype
