/* Where no function of the host's can be had: in a process of its own. */
double half(double number);

double half(double number)
{
    return number / 2;
}
