// watch tells for how long the processor that it is kept to stood still: it wakes all the time, before all others
// (SCHED_FIFO, sched(7)), and where it wakes late although nothing in this machine can have come before it, nothing has
// run there meanwhile. Virtual machines wait so for others on their host, and their kernel does not know it.
//
// Each line on stdin is answered by the microseconds since the one before. It ends with stdin.
package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	every    = 200 * time.Microsecond
	ordinary = 100 * time.Microsecond // by which a wake may be late: timers, interrupts, an idle processor
	fifo     = 1
	priority = 50
)

func main() {
	var still atomic.Int64
	begun := make(chan error)
	go func() {
		runtime.LockOSThread()
		begun <- first()
		for before := time.Now(); ; {
			pause := syscall.NsecToTimespec(int64(every))
			// an early end by a signal is no matter; by time.Sleep the runtime would wake when it likes
			_, _, _ = syscall.Syscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&pause)), 0, 0)
			now := time.Now()
			if late := now.Sub(before) - every; late > ordinary {
				still.Add(int64(late))
			}
			before = now
		}
	}()
	if err := <-begun; err != nil {
		log.Fatal(err)
	}
	fmt.Println("watching")
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		fmt.Println(still.Swap(0) / int64(time.Microsecond))
	}
}

// first has the calling thread run before all others.
func first() error {
	parameter := int32(priority)
	_, _, failed := syscall.Syscall(syscall.SYS_SCHED_SETSCHEDULER, 0, fifo, uintptr(unsafe.Pointer(&parameter)))
	if failed != 0 {
		return os.NewSyscallError("sched_setscheduler", failed)
	}
	return nil
}
