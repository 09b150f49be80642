// The first process of a machine that is there for one program: runs it with the same arguments, says how it ended, and ends the machine.
#include <cstdio>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

int main(int, char** arguments) {
    arguments[0] = const_cast<char*>("/program");
    if (fork() == 0) {
        execv(arguments[0], arguments);
        _exit(127);
    }
    int status = -1;
    wait(&status);
    std::printf("status %d\n", status);
    std::fflush(stdout);
    tcdrain(1);  // what was not sent when a machine ends is lost
    reboot(RB_AUTOBOOT);
}
