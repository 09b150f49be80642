# libcalotype, static and shared, with its header and a pkg-config file: cmake -DCALOTYPE_LIBRARY=ON. Needs a compiler alone.
include(GNUInstallDirs)
find_package(Threads REQUIRED)

file(STRINGS pyproject.toml version_line REGEX "^version = ")
string(REGEX REPLACE ".*\"([0-9]+\\.[0-9]+\\.[0-9]+).*" "\\1" PROJECT_VERSION "${version_line}")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()

add_library(calotype_objects OBJECT native/calotype.cpp)
target_compile_options(calotype_objects PRIVATE
  $<$<CXX_COMPILER_ID:MSVC>:/O2 /W4>
  $<$<NOT:$<CXX_COMPILER_ID:MSVC>>:-O3 -Wall -Wextra>)
set_target_properties(calotype_objects PROPERTIES
  POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
if(WIN32)
  target_compile_definitions(calotype_objects PRIVATE CALOTYPE_SHARED)
endif()

foreach(kind SHARED STATIC)
  string(TOLOWER "calotype_${kind}" name)
  add_library(${name} ${kind} $<TARGET_OBJECTS:calotype_objects>)
  target_link_libraries(${name} PRIVATE Threads::Threads)
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
endforeach()
# On Windows the import library of the shared one has the plain name.
set_target_properties(calotype_shared PROPERTIES OUTPUT_NAME calotype VERSION ${PROJECT_VERSION} SOVERSION 0)
if(NOT MSVC)
  set_target_properties(calotype_static PROPERTIES OUTPUT_NAME calotype)
endif()

# From where the file itself lies, so that `cmake --install --prefix` may lead elsewhere.
set(PC_PREFIX ${CMAKE_INSTALL_PREFIX})
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  file(RELATIVE_PATH up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
  string(REGEX REPLACE "/$" "" up "${up}")
  set(PC_PREFIX "\${pcfiledir}/${up}")
endif()
foreach(kind LIBDIR INCLUDEDIR)
  set(PC_${kind} "\${prefix}/${CMAKE_INSTALL_${kind}}")
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}}")
    set(PC_${kind} "${CMAKE_INSTALL_${kind}}")
  endif()
endforeach()
configure_file(native/calotype.pc.in calotype.pc @ONLY)
install(TARGETS calotype_shared calotype_static
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES native/calotype.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/calotype.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
