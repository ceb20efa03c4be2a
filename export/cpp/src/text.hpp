// What a text from outside may be.

#pragma once

#include <cstddef>
#include <string_view>

namespace edgemeta {

/// Whether bytes are UTF-8, as RFC 3629 has it: no half surrogates, nothing longer than it needs to
/// be.
bool is_utf8(std::string_view text);

/// The bytes of the control character at a place of a text in UTF-8, U+0000 to U+001F or U+007F to
/// U+009F; 0 if there is another one.
std::size_t control_at(std::string_view text, std::size_t place);

/// Whether a text in UTF-8 has a control character: U+0000 to U+001F but those in `but`, or U+007F
/// to U+009F.
bool has_control(std::string_view text, std::string_view but = "\t\n");

}  // namespace edgemeta
