// What the C functions share: errors become a status and a text.
#pragma once

#include "calotype.h"
#include "pack.hpp"

struct calotype_pack {
    calotype::Pack pack;
};

namespace calotype {

inline std::string& last_error() {
    thread_local std::string text;
    return text;
}

inline calotype_status failed(calotype_status status, const char* text) {
    try {
        last_error() = text;
    } catch (const std::bad_alloc&) {
        last_error().clear();
    }
    return status;
}

// Runs `work`; whatever it throws becomes a status and a text.
template <class Work>
calotype_status guarded(Work&& work) {
    try {
        return work();
    } catch (const Error& e) {
        return failed(static_cast<calotype_status>(e.fault), e.what());
    } catch (const std::bad_alloc&) {
        return failed(CALOTYPE_MEMORY, "there is not enough memory");
    } catch (const std::length_error&) {
        return failed(CALOTYPE_MEMORY, "there is not enough memory");
    } catch (const std::exception& e) {
        return failed(CALOTYPE_ARGUMENT, e.what());
    }
}

inline void need(bool fine, const char* what) {
    if (!fine) throw Error(Fault::argument, what);
}

}  // namespace calotype
